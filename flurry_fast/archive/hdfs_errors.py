"""What hdfs-native raises, as one sentence with a way out.

It raises built-in exceptions whose text is a Java stack, or `RPCError("class", "message and stack")` with its line ends
escaped. Nobody needs more of that than the first line.
"""

from __future__ import annotations

import re

from flurry_fast.errors import StoreUnavailable

# `RPCError("java class", "text")`, `OperationFailed("text")`, as Rust prints values.
_VARIANT = re.compile(r'(\w+)\("((?:[^"\\]|\\.)*)"(?:, "((?:[^"\\]|\\.)*)")?\)?', re.DOTALL)

# (what is in the text, what it means, what to do); the first that fits counts.
KNOWN: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), meaning, way_out)
    for pattern, meaning, way_out in (
        (
            r"SafeModeException|in safe mode",
            "The NameNode is in safe mode",
            "It leaves it when enough blocks are reported; one that an operator began ends with"
            " `hdfs dfsadmin -safemode leave`.",
        ),
        (
            r"could only be written to \d+ of the \d+ min",
            "No DataNode takes a block",
            "Look at `hdfs dfsadmin -report`: DataNodes must be live and have free space.",
        ),
        (
            r"QuotaExceeded|quota .*exceeded",
            "The quota of the folder is used up",
            "Raise it with `hdfs dfsadmin -setSpaceQuota` or `-setQuota`, or make room.",
        ),
        (
            r"AccessControlException|Permission denied",
            "Permission was denied",
            "Let this user write there (`hdfs dfs -chown`); without Kerberos, HADOOP_USER_NAME says who it is.",
        ),
        (
            r"No NameNode hosts found",
            "The name is no name service of the Hadoop configuration",
            "Write the NameNode's port, as in hdfs://HOST:8020/FOLDER, or let HADOOP_CONF_DIR name the folder of"
            " core-site.xml and hdfs-site.xml.",
        ),
        (
            r"StandbyException|Operation category \w+ is not supported in state standby",
            "No NameNode that was asked is active",
            "Look at `hdfs haadmin -getAllServiceState`.",
        ),
    )
)


def is_native(error: BaseException) -> bool:
    """Whether hdfs-native raises such: OSError, RuntimeError, NotImplementedError, or a panic of its own."""
    return isinstance(error, OSError | RuntimeError) or type(error).__name__ == "PanicException"


def explain(error: BaseException, doing: str) -> StoreUnavailable:
    """One sentence: what HDFS refused while `doing` something, and the way out where it is known."""
    text = str(error)
    for pattern, meaning, way_out in KNOWN:
        if pattern.search(text):
            return StoreUnavailable(f"HDFS failed {doing}. {meaning}: {first_line(text)}.", way_out=way_out)
    return StoreUnavailable(f"HDFS failed {doing}: {first_line(text)}.")


def first_line(text: str) -> str:
    """The first line of what a server said, without the names of classes, and without a full stop."""
    match = _VARIANT.match(text)
    if match is not None:
        said = match[3] if match[3] is not None else match[2]
        text = said.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    line = text.strip().partition("\n")[0].strip()
    return re.sub(r"^(?:[\w$]+\.)+[\w$]+(?:Exception|Error): ", "", line).rstrip(".") or "it did not say why"
