"""Which topics are refused."""

from pathlib import Path

from flurry_fast.config.model import Kafka
from flurry_fast.consumer.topic import check_topic, refusals, warnings


def test_a_usual_topic_is_fine() -> None:
    config = {"cleanup.policy": "delete", "unclean.leader.election.enable": "false"}
    config["message.timestamp.type"] = "LogAppendTime"
    assert refusals(config) == []
    assert warnings(config) == []
    assert refusals({}) == warnings({}) == []


def test_compaction_and_unclean_elections_are_refused() -> None:
    assert "compaction" in refusals({"cleanup.policy": "compact,delete"})[0]
    assert "vanish" in refusals({"unclean.leader.election.enable": "true"})[0]
    assert "producers' own" in warnings({"message.timestamp.type": "CreateTime"})[0]


def test_the_embedded_broker_has_no_settings_to_check(tmp_path: Path) -> None:
    check_topic(Kafka(broker_file=tmp_path / "none.json"))


def test_brokers_that_do_not_answer_are_only_warned_about() -> None:
    check_topic(Kafka(bootstrap="127.0.0.1:1", request_timeout=0.2))
