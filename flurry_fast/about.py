"""What is running: versions and builds, for bug reports and beside every published number."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flurry_fast import _core, _wire


def build_info() -> dict[str, Any]:
    """How this installation was built.

    `version` of the package; `core` and `wire`, the two native modules: version, commit, profile, compiler and more;
    `librdkafka`: the version that confluent-kafka runs on, the library's path (None where it can not be shared, with
    the `reason`); `python`: its version and platform.
    """
    import confluent_kafka

    core, wire = _core.build_info(), _wire.build_info()
    try:
        installed = version("flurry-fast")
    except PackageNotFoundError:  # used from a source tree
        installed = core["version"]
    librdkafka: dict[str, Any] = {
        "version": confluent_kafka.libversion()[0],
        "confluent_kafka": confluent_kafka.version(),
        "path": None,
    }
    try:
        librdkafka["path"] = _wire.librdkafka()[1]
    except _wire.DrainUnavailable as error:
        librdkafka["reason"] = error.reason
    return {
        "version": installed,
        "core": core,
        "wire": wire,
        "librdkafka": librdkafka,
        "python": {"version": platform.python_version(), "platform": platform.platform()},
    }
