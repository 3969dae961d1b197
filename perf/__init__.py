"""Where the time of a run goes. See README.md beside this file."""
