"""The whole demo, from an empty folder to the verdict."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from flurry_fast._core import Plan
from flurry_fast.config.load import load
from flurry_fast.demo.charts import draw_apps, draw_throughput
from flurry_fast.demo.children import children
from flurry_fast.demo.ground import embedded, on_stack
from flurry_fast.demo.options import DemoOptions
from flurry_fast.demo.run import Stage, Story
from flurry_fast.demo.screen import Screen
from flurry_fast.demo.settings import write_config
from flurry_fast.demo.tally import Tally
from flurry_fast.demo.verdict import Verdict, audit, judge, target
from flurry_fast.demo.workspace import Workspace, prepare
from flurry_fast.errors import FlurryFastError
from flurry_fast.stores import open_store

# Real reports, in a checkout. An installed package has none: --captures names them.
CAPTURES = Path(__file__).resolve().parents[2] / "tests" / "captures"


class CapturesMissing(FlurryFastError):
    """A folder of captures was asked for and holds none."""

    exit_code = 2


def find_captures(asked: Path | None) -> Path | None:
    """The folder of real reports: the one asked for, or the checkout's, or None.

    Raises CapturesMissing if `asked` has no `*/*.bin`.
    """
    if asked is not None:
        if not any(asked.glob("*/*.bin")):
            raise CapturesMissing(f"{asked} holds no captures (*/*.bin).", way_out="Name tests/captures of a checkout.")
        return asked
    return CAPTURES if any(CAPTURES.glob("*/*.bin")) else None


def perform(options: DemoOptions, screen: Screen) -> tuple[Workspace, Verdict, str | None]:
    """Runs everything and judges it. Raises a FlurryFastError that says what failed and which log to read.

    No process is left behind, whatever happens. The verdict and the charts are in the workspace; the last of the
    answer is the key of the busiest app.
    """
    workspace = prepare(options.root)
    if options.stack is not None:
        screen.phase("Real Kafka, HBase and HDFS: starting what does not run")
    ground = embedded(workspace) if options.stack is None else on_stack(options.stack, options.partitions, screen)
    write_config(workspace, ground)
    text = (files("flurry_fast") / "plans" / "default.toml").read_text(encoding="utf-8")
    with (
        children(workspace) as processes,
        Tally(workspace.manifest, workspace.manifest_complete, text) as tally,
    ):
        story = Stage(options, workspace, ground, processes, screen).run()
        screen.phase("Auditing: every counter block against the archive")
        audited = audit(workspace, processes)
        screen.phase("Comparing every counter with an independent count of what was sent")
        against = target(workspace, Plan.parse(text))
        kills = [kill.at for kill in story.kills]
        verdict = judge(tally, against, audited, kills, lambda counted: screen.progress(counted / max(1, story.sent)))
        verdict.save(workspace.verdict)
        screen.phase("Drawing the charts")
        busiest = draw(workspace, story)
    return workspace, verdict, busiest


def draw(workspace: Workspace, story: Story) -> str | None:
    """Saves both charts; the key of the busiest app, None where nothing was counted."""
    throughput, apps = workspace.charts
    draw_throughput(story, throughput)
    store = open_store(load(workspace.config, {}, {}).settings.counters, create=False)
    try:
        return draw_apps(store, apps)
    finally:
        store.close()


def program() -> list[str]:
    """How this program is called from here: by name if the shell would find it, else as it was called now."""
    called = Path(sys.argv[0])
    if called.name != "flurry-fast":
        return [sys.executable, "-m", "flurry_fast"]
    found = shutil.which("flurry-fast")
    return ["flurry-fast"] if found is not None and Path(found).samefile(called) else [str(called)]


def next_steps(workspace: Workspace, busiest: str | None, stack: Path | None = None) -> list[tuple[list[str], str]]:
    """Commands worth trying now, each with what it shows. They need no process that is gone by then.

    `stack`: the folder of the real servers, which go on.
    """
    us, config = program(), ["--config", str(workspace.config)]
    steps = [([*us, "apps", *config], "the busiest apps")]
    if busiest is not None:
        app = [*us, "counters", busiest, *config]
        steps.append((app, "the busiest app, hour by hour"))
        steps.append(([*app, "--rollup", "country", "--format", "csv"], "its countries, for scripts"))
    steps.append(([*us, "archive", "ls", *config], "the archive: plain Parquet, one row a report"))
    steps.append(([*us, "audit", *config], "check every counter again"))
    if stack is not None:
        steps.append(([*us, "tables", "check", *config], "the tables in HBase"))
        steps.append(([*us, "config", "check", "--cluster", *config], "what real servers should have otherwise"))
        steps.append(([*us, "stack", "down", "--dir", str(stack)], "stop the servers, which go on until then"))
    steps.append((["head", "-1", str(workspace.manifest)], "what was sent, as JSON"))
    return steps
