"""The settings of every process of a demo, as a file that the commands named at its end can use too."""

from __future__ import annotations

import json

from flurry_fast.demo.ground import Ground
from flurry_fast.demo.workspace import Workspace

GROUP = "flurry-fast-demo"


def write_config(workspace: Workspace, ground: Ground) -> None:
    """Ages are short, so that a minute shows many flushes and files."""
    root = workspace.root.resolve()

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string

    where = "\n".join(f"{key} = {value}" for key, value in ground.kafka.items())
    workspace.config.write_text(
        f"""# Written by `flurry-fast demo`. Ages are short, so that a minute shows many flushes and files.
[kafka]
{where}
group = "{GROUP}"
# How soon the partitions of a killed consumer go to the next one.
session_timeout = 3.0

[portal]
port = 0
status_file = {text(str(root / "portal.json"))}

[consume]
status_file = {text(str(root / "consumer.json"))}
commit_interval = 0.25
drain_timeout = 30.0

[counters]
store = {text(ground.store)}
flush_age = 1.0

[archive]
root = {text(ground.archive)}
roll_age = 1.0

[log]
format = "console"
level = "info"
""",
        encoding="utf-8",
    )
