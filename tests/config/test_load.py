"""Settings: what is accepted, and how a refusal reads."""

from pathlib import Path

import pytest

from flurry_fast.config import ConfigError, load
from flurry_fast.config.units import format_bytes, format_duration, parse_bytes, parse_duration


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def refusals(path: Path | None, overrides: dict[str, str] | None = None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides or {}, environ or {})
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_later_places_win(tmp_path: Path) -> None:
    path = write(tmp_path, '[kafka]\ntopic = "a"\ngroup = "from-file"\n[consume]\nmemory = "2GiB"\n')
    loaded = load(path, {"kafka.topic": "c"}, {"FLURRY_FAST_KAFKA__TOPIC": "b", "FLURRY_FAST_LOG__LEVEL": "debug"})
    assert (loaded.settings.kafka.topic, loaded.settings.kafka.group) == ("c", "from-file")
    assert loaded.settings.consume.memory == 2 * 2**30
    assert loaded.settings.log.level == "debug"
    assert loaded.origins == {
        "kafka.topic": "--set kafka.topic",
        "kafka.group": str(path),
        "consume.memory": str(path),
        "log.level": "environment variable FLURRY_FAST_LOG__LEVEL",
        "counters.flush_age": "default for the embedded broker",
        "archive.roll_age": "default for the embedded broker",
    }


def test_the_embedded_broker_wants_short_ages_unless_told_otherwise() -> None:
    def ages(**overrides: str) -> tuple[float, float]:
        settings = load(None, {key.replace("__", "."): value for key, value in overrides.items()}, {}).settings
        return settings.counters.flush_age, settings.archive.roll_age

    assert ages() == (2, 2)
    assert ages(archive__roll_age="9s") == (2, 9)
    assert ages(kafka__bootstrap="broker:9092") == (10, 60)


def test_librdkafka_names_have_dots(tmp_path: Path) -> None:
    path = write(tmp_path, '[kafka.librdkafka]\nsasl.username = "u"\n"fetch.queue.backoff.ms" = 2\n')
    loaded = load(
        path, {"kafka.librdkafka.ssl.ca.location": "/ca"}, {"FLURRY_FAST_KAFKA__LIBRDKAFKA__SASL_PASSWORD": "p"}
    )
    assert loaded.settings.kafka.librdkafka == {
        "sasl.username": "u",
        "fetch.queue.backoff.ms": 2,
        "ssl.ca.location": "/ca",
        "sasl.password": "p",
    }


def test_every_problem_is_told_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, '[kafka]\ntopc = "x"\n[counters]\nstore = "redis:1"\n')
    text = refusals(path, {"consume.batch_bytes": "1QiB"}, {"FLURRY_FAST_METRICS__PORT": "70000"})
    assert text.splitlines() == [
        f"{path}: kafka.topc: unknown setting, did you mean topic.",
        "--set consume.batch_bytes: consume.batch_bytes: '1QiB' is not understood, write it like \"64MiB\".",
        f"{path}: counters.store: 'redis:1' names no cell store, there are sqlite:PATH, hbase://HOST:PORT and memory:.",
        "environment variable FLURRY_FAST_METRICS__PORT: metrics.port: should be less than or equal to 65535.",
    ]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("kafka = 3\n", "kafka: is a section, not a value"),
        ("[consume\n", "is not TOML"),
        ('[consume]\nmemory = "100MiB"\nbatch_bytes = "64MiB"\n', "at least four times"),
        ('[kafka.librdkafka]\n"group.id" = "x"\n', "group.id can not be set here: use kafka.group"),
        ('[consume]\nsinks = ["counters", "hbase"]\n', "consume.sinks.1: should be 'counters' or 'archive'"),
        ("[consume]\nsinks = []\n", "consume.sinks"),
        ('[archives]\nroot = "x"\n', "archives: unknown setting, did you mean archive"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, toml: str, words: str) -> None:
    path = write(tmp_path, toml)
    text = refusals(path)
    assert text.startswith(f"{path}: ")
    assert words in text
    assert "\n" not in text


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "can not be read" in refusals(tmp_path / "none.toml")
    assert "section.key" in refusals(None, {"topic": "x"})


def test_settings_do_not_change() -> None:
    settings = load(None, {}, {}).settings
    with pytest.raises(ValueError, match="frozen"):
        settings.kafka.topic = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "value"), [("64MiB", 2**26), ("1.5 GB", 1_500_000_000), ("7", 7), ("1_000", 1000), ("2kib", 2048)]
)
def test_sizes(text: str, value: int) -> None:
    assert parse_bytes(text) == value
    assert parse_bytes(format_bytes(value)) == value


@pytest.mark.parametrize(("text", "value"), [("10s", 10), ("250ms", 0.25), ("5min", 300), ("1h", 3600), ("0.5", 0.5)])
def test_durations(text: str, value: float) -> None:
    assert parse_duration(text) == value
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize("text", ["", "x", "-1s", "1e9", "s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        parse_duration(text)
