"""Settings: one file, environment and flags, parsed once into one frozen value."""

from flurry_fast.config.load import Loaded, load, load_settings
from flurry_fast.config.model import Settings
from flurry_fast.errors import ConfigError

__all__ = ["ConfigError", "Loaded", "Settings", "load", "load_settings"]
