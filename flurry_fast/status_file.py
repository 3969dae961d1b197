"""Status files: one JSON line that is replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def rewrite(path: Path, status: Mapping[str, Any], log: Any) -> None:
    """Put `status` there. Where that can not be, `log` is warned: nobody stops for want of a status file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(status) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        log.warning("the status file can not be written", path=str(path), error=str(error))
