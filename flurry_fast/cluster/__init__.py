"""What the live servers must be like: rules over what they say of themselves, and what to change where they differ."""
