"""Where the tests with real servers can not run they are skipped, and where they must run they fail."""

from __future__ import annotations

from pathlib import Path

import pytest
import real_stack


@pytest.fixture
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FLURRY_FAST_STACK_CACHE", str(tmp_path))
    for name in ("JAVA_HOME", *real_stack.REQUIRED):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_nothing_here")
def test_skipped_with_the_reason() -> None:
    with pytest.raises(
        pytest.skip.Exception, match=r"NOT TESTED .* Java 17 to 22 is missing\..* Maven \(mvn\) is missing"
    ):
        real_stack.refuse_without_tools()


@pytest.mark.usefixtures("_nothing_here")
@pytest.mark.parametrize("name", real_stack.REQUIRED)
def test_failed_where_it_is_required(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(pytest.fail.Exception, match="required here"):
        real_stack.refuse_without_tools()
