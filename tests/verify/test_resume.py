"""An audit that was interrupted goes on; what it kept is believed only of what still looks the same."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from flurry_fast import _core
from flurry_fast.archive.filesystem import LocalFileSystem
from flurry_fast.cli import main
from flurry_fast.cli.progress import AuditProgress
from flurry_fast.operations import reset
from flurry_fast.registry import Registry
from flurry_fast.stores.sqlite import SqliteStore
from flurry_fast.verify.audit import audit
from flurry_fast.verify.ledger import Ledger, LedgerRefused
from flurry_fast.verify.result import Audit, Column, PartitionAudit

from .logs import INCARNATION, TOPIC, Consumer, generated

PLAN = _core.Plan.parse(files("flurry_fast").joinpath("plans/default.toml").read_text())


class Site:
    """A store and an archive on disk: three partitions of 20 reports, the last 4 of partition 1 not yet taken."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ledger = folder, folder / "audit.json"
        logs = generated(41, partitions=3, reports=20)
        self.late = logs[1][16:]
        del logs[1][16:]
        self.consumer = Consumer(PLAN, logs, SqliteStore(folder / "counters.sqlite"), root=folder / "archive").run()
        self.store = self.consumer.store

    def command(self, *arguments: str, resume: bool = True) -> Result:
        flags = ["--set", f"counters.store=sqlite:{self.folder}/counters.sqlite"]
        flags += ["--set", f"archive.root={self.folder}/archive"]
        flags += ["--resume", str(self.ledger)] if resume else []
        return CliRunner().invoke(main, ["audit", *arguments, *flags])

    def audit(self, watcher: object = None) -> Audit:
        archive = LocalFileSystem(self.folder / "archive")
        return audit(
            self.store, archive, TOPIC, watcher,  # type: ignore[arg-type]
            memory=lambda state: Ledger(self.ledger, self.store, TOPIC, state),
        )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class Interrupts(AuditProgress):
    """Ctrl-C after so many partitions."""

    left = 2

    def finished(self, partition: PartitionAudit) -> None:
        super().finished(partition)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def notes(result: Audit) -> list[bool]:
    return [partition.note.startswith("as audited at") for partition in result.partitions]


def test_ctrl_c_keeps_what_is_finished(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("flurry_fast.cli.audit.AuditProgress", Interrupts)
        told = site.command()
        assert told.exit_code == 1
        assert f"Finished partitions are in {site.ledger}" in told.stderr
        assert "Nothing of it is kept" in site.command(resume=False).stderr
    told = site.command("--json")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)["partitions"]
    assert [partition["note"].startswith("as audited at") for partition in found] == [True, True, False]
    whole = json.loads(site.command("--json", resume=False).stdout)["partitions"]
    assert [partition | {"note": ""} for partition in found] == whole
    told = site.command()
    assert "partition 2: ok" in told.stdout
    assert told.stdout.count("as audited at") == 3


def test_what_is_folded_is_only_what_was_not(site: Site) -> None:
    site.audit()
    folded: list[int] = []

    class Watched(AuditProgress):
        def folded(self, partition: PartitionAudit, records: int) -> None:
            folded.append(partition.column.partition)

    assert notes(site.audit(Watched())) == [True, True, True]
    assert folded == []


def test_a_partition_that_was_written_since_is_audited_again(site: Site) -> None:
    site.audit()
    site.consumer.logs[1] += site.late
    Consumer(PLAN, site.consumer.logs, site.store, root=site.folder / "archive").run()
    result = site.audit()
    assert notes(result) == [True, False, True]
    assert "has been written since it was audited" in result.partitions[1].note
    assert result.partitions[1].records == 20
    assert result.problems(complete=True) == []
    assert notes(site.audit()) == [True, True, True]


def test_a_cell_that_was_tampered_with_is_found_all_the_same(site: Site) -> None:
    site.audit()
    block = next(cell for batch in site.store.scan("counters_201311") for cell in batch.to_pylist())
    rows, values = pa.array([block["row"]], pa.binary()), pa.array([block["value"]], pa.binary())
    site.store.write("counters_201311", block["qualifier"], block["timestamp"] + 1, rows, values)
    assert site.audit().problems() != []


def test_what_is_wrong_is_not_kept(site: Site) -> None:
    """It may be mended where the digest does not look: in the rows of a file."""
    file = sorted((site.folder / "archive").rglob("p=00002/*.parquet"))[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:1000] + bytes(8) + whole[1008:])
    assert site.audit().problems() != []
    file.write_bytes(whole)
    result = site.audit()
    assert result.problems() == []
    assert notes(result) == [True, True, False]


@pytest.mark.parametrize("what", ["store", "topic", "generation"])
def test_the_file_of_another_audit_is_refused(site: Site, what: str) -> None:
    site.audit()
    if what == "generation":
        reset.fence(site.store, Registry(site.store, TOPIC, lambda: INCARNATION))
    else:
        given = json.loads(site.ledger.read_text())
        given["audit"][what] = "another"
        site.ledger.write_text(json.dumps(given))
    before = site.ledger.read_text()
    told = site.command()
    assert told.exit_code == 2
    assert f"of another {what}" in told.stderr
    assert site.ledger.read_text() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"audit": {}, "partitions": []}', "\x00"])
def test_a_file_of_another_kind_is_refused(site: Site, text: str) -> None:
    site.ledger.write_text(text)
    told = site.command()
    assert (told.exit_code, "was not written by an audit" in told.stderr) == (2, True)
    assert site.ledger.read_text() == text


def test_a_file_that_can_not_be_written_is_refused_before_anything_is_folded(site: Site) -> None:
    site.ledger = site.folder / "none" / "audit.json"
    with pytest.raises(LedgerRefused, match="can not be written"):
        site.audit()


def test_one_partition(site: Site) -> None:
    result = json.loads(site.command("--partition", "2", "--json").stdout)
    assert [partition["partition"] for partition in result["partitions"]] == [2]
    assert result["records"] == 20
    told = site.command("--partition", "2", "--partition", "9")
    assert (told.exit_code, "Nothing of partition 9" in told.stderr) == (1, True)
    told = site.command("--partition", "2", "--manifest", str(site.folder / "counters.sqlite"))
    assert (told.exit_code, "goes without --partition" in told.stderr) == (2, True)


def test_plain_lines_where_nobody_has_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    progress = AuditProgress(Console(stderr=True, force_terminal=False), lambda: now[0])
    one, two = (PartitionAudit(Column(1, 2, number), 0, to_fold=1000) for number in (4, 5))
    with progress:
        progress.planned([one, two])
        progress.folded(one, 100)
        assert capsys.readouterr().err == ""
        now[0] = 110.0
        progress.folded(one, 100)
        assert capsys.readouterr().err == ("audit: partition 4 (1 of 2): 200 of 2,000 records folded, about 90s left\n")
        progress.folded(one, 100)
        assert capsys.readouterr().err == ""
        now[0] = 120.0
        progress.finished(one)  # that much less is left to do
        assert "300 of 1,300 records" in capsys.readouterr().err
        now[0] = 130.0
        progress.folded(two, 1000)
        assert "partition 5 (2 of 2): 1,300 of 1,300 records" in capsys.readouterr().err


def test_a_bar_where_somebody_has_one() -> None:
    console = Console(stderr=True, force_terminal=True, record=True, width=100)
    with AuditProgress(console) as progress:
        one = PartitionAudit(Column(1, 2, 4), 0, to_fold=1000)
        progress.planned([one])
        progress.folded(one, 400)
        progress.finished(one)
    assert "400/400" in console.export_text()
