"""`flurry-fast tables` where there is no HBase. With one: tests/stores/test_hbase_pipeline.py."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flurry_fast.cli import main


@pytest.mark.parametrize("arguments", [["create"], ["check"], ["drop", "2013-11", "--yes"]])
def test_other_stores_have_nothing_to_do(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["tables", *arguments, "--set", "counters.store=memory:"])
    assert (result.exit_code, "makes its tables by itself" in result.stderr) == (2, True)


def test_what_is_no_month() -> None:
    for text in ("2013", "2013-13", "november", "2013-11-05"):
        result = CliRunner().invoke(main, ["tables", "create", text])
        assert (result.exit_code, "is not a month like 2013-11" in result.stderr) == (2, True)
