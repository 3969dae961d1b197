"""What a stack consists of: chosen once, recorded in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flurry_fast.stack.errors import OptionsRefused

PartName = Literal["kafka", "hdfs", "hbase"]
PARTS: tuple[PartName, ...] = get_args(PartName)
NAMES: Mapping[PartName, str] = {"kafka": "Kafka", "hdfs": "HDFS", "hbase": "HBase"}
"""As people write them."""
DEFAULT_BASE_PORT = 19000
_KEPT = ("brokers", "datanodes")  # what data on disk depends on, beside where HBase has its own


class StackOptions(BaseModel):
    """Which servers, where they listen, and what is different from what we would set ourselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_port: int = Field(DEFAULT_BASE_PORT, ge=1024, le=64000, description="Every port is this plus a fixed number.")
    brokers: Literal[1, 3] = Field(1, description="Kafka brokers; each is a controller, too.")
    datanodes: int = Field(2, ge=1, le=3, description="DataNodes; files have as many replicas, 2 at most.")
    kafka: bool = True
    hdfs: bool = True
    hbase: bool = True
    hbase_on: Literal["hdfs", "file"] | None = Field(None, description="Where HBase keeps its files. None: see there.")
    quick: bool = Field(False, description="JVMs compile with C1 alone: they start sooner and are slower under load.")
    extra: dict[PartName, dict[str, str]] = Field(default_factory=dict, description="Properties of servers, by part.")

    @field_validator("extra")
    @classmethod
    def _one_line_each(cls, extra: dict[PartName, dict[str, str]]) -> dict[PartName, dict[str, str]]:
        for part, properties in extra.items():
            for key, value in properties.items():
                if not key or any(character in key + value for character in "\r\n"):
                    raise ValueError(f"{part}:{key} is no property: names are not empty, values have one line")
        return extra

    @model_validator(mode="after")
    def _stand_together(self) -> StackOptions:
        if not (self.kafka or self.hdfs or self.hbase):
            raise ValueError("a stack without Kafka, HDFS and HBase is none")
        if self.hbase and self.hbase_on == "hdfs" and not self.hdfs:
            raise ValueError("HBase on HDFS needs HDFS: leave out --no-hdfs, or use --hbase-root file")
        return self

    @property
    def hbase_root(self) -> Literal["hdfs", "file"]:
        """Where HBase keeps its files: as chosen, else on HDFS if that is part of the stack."""
        return self.hbase_on or ("hdfs" if self.hdfs else "file")

    @property
    def parts(self) -> tuple[PartName, ...]:
        """The parts that are wanted."""
        return tuple(part for part in PARTS if getattr(self, part))

    def changed(self, **values: Any) -> StackOptions:
        """A copy with other values. Raises OptionsRefused."""
        return self.parse(self.model_dump() | values)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> StackOptions:
        """From plain values. Raises OptionsRefused, which names every problem."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise OptionsRefused("\n".join(_sentence(item) for item in error.errors())) from None

    def conflict(self, recorded: StackOptions) -> str | None:
        """Which option does not go with the data of a stack that was started with `recorded`; None: all do."""
        for name in _KEPT:
            if getattr(self, name) != getattr(recorded, name):
                return f"{name} {getattr(recorded, name)}"
        both = self.hbase and recorded.hbase
        return f"HBase on {recorded.hbase_root}" if both and self.hbase_root != recorded.hbase_root else None


def _sentence(item: Any) -> str:
    reason = item["msg"].removeprefix("Value error, ").rstrip(".")
    key = ".".join(str(part) for part in item["loc"])
    sentence = f"{key}: {reason}" if key else reason
    return f"{sentence[0].upper()}{sentence[1:]}."
