"""`python -m flurry_fast` is `flurry-fast`."""

from flurry_fast.cli import main

if __name__ == "__main__":
    main(prog_name="flurry-fast")
