"""`flurry-fast demo`: the whole pipeline for about a minute, with kills, and the proof that nothing was lost."""
