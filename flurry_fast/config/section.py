"""What every section of the settings is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

BYTES: dict[str, Any] = {"unit": "bytes"}
SECONDS: dict[str, Any] = {"unit": "seconds"}


class Section(BaseModel):
    """One table of the file; frozen, and it takes no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
