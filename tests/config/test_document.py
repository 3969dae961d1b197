"""The reference page and the template come from the models; a setting without words is a mistake."""

import tomllib
from pathlib import Path

from flurry_fast.config import load
from flurry_fast.config.document import entries, reference, sections, template

ROOT = Path(__file__).parents[2]


def test_every_setting_is_described() -> None:
    for name, about, model in sections():
        assert about
        for entry in entries(name, model):
            assert len(entry.description) > 8, entry.key


def test_the_reference_is_current() -> None:
    path = ROOT / "docs" / "configuration.md"
    assert path.read_text(encoding="utf-8") == reference(), (
        "run: python -m flurry_fast.config.document > docs/configuration.md"
    )


def test_the_template_uncommented_is_the_defaults(tmp_path: Path) -> None:
    assert not any(tomllib.loads(template()).values())
    lines = []
    for line in template().splitlines():
        setting = line.removeprefix("# ")
        key, equals, value = setting.partition(" =")
        is_setting = bool(equals) and key.isidentifier()
        lines.append(setting if is_setting and value else "" if line.startswith("#") else line)
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines))
    ages = {"counters.flush_age": "10s", "archive.roll_age": "1min"}  # else short, for the embedded broker
    assert load(path, {}, {}).settings == load(None, ages, {}).settings
    assert len(load(path, {}, {}).origins) > 30
