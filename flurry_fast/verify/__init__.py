"""Independent checks: written from docs/counters.md, sharing no code with the Rust engine."""
