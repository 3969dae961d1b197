"""What HDFS says, in one sentence: texts as a NameNode 3.5.0 and hdfs-native 0.14.7 gave them."""

from __future__ import annotations

import pytest

from flurry_fast.archive.hdfs_errors import explain, first_line, is_native

STACK = "\\n\\tat org.apache.hadoop.hdfs.server.namenode.FSNamesystem.newSafemodeException(FSNamesystem.java:1631)"
SAFE_MODE = (
    'RPCError("org.apache.hadoop.hdfs.server.namenode.SafeModeException", "Cannot create file/a/.tmp-1. Name node is in'
    f' safe mode.\\nIt was turned on manually.{STACK}")'
)
NO_NODE = (
    'RPCError("java.io.IOException", "File /a/.tmp-1 could only be written to 0 of the 1 minReplication nodes. There'
    f' are 0 datanode(s) running and 0 node(s) are excluded in this operation.{STACK}")'
)
QUOTA = (
    'RPCError("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", "The DiskSpace quota of /a is exceeded: quota'
    f' = 1048576 B = 1 MB but diskspace consumed = 2173487848 B = 2.02 GB{STACK}")'
)
PERMISSION = (
    'RPCError("org.apache.hadoop.security.AccessControlException", "Permission denied: user=flurry, access=WRITE,'
    f' inode=\\"/a\\":root:supergroup:drwxr-xr-x{STACK}")'
)


@pytest.mark.parametrize(
    ("error", "sentence", "way_out"),
    [
        (RuntimeError(SAFE_MODE), "The NameNode is in safe mode: Cannot create file/a/.tmp-1.", "-safemode leave"),
        (RuntimeError(NO_NODE), "No DataNode takes a block: File /a/.tmp-1 could only be written to 0", "-report"),
        (RuntimeError(QUOTA), "The quota of the folder is used up: The DiskSpace quota of /a is", "-setSpaceQuota"),
        (RuntimeError(PERMISSION), "Permission was denied: Permission denied: user=flurry, acc", "HADOOP_USER_NAME"),
        (RuntimeError('InvalidArgument("No NameNode hosts found")'), "no name service", "HADOOP_CONF_DIR"),
        (OSError("Connection refused (os error 111)"), "failed creating x: Connection refused (os error 111).", ""),
        (RuntimeError('OperationFailed("Failed to complete file in time")'), "x: Failed to complete file in time.", ""),
        (OSError(""), "HDFS failed creating x: it did not say why.", ""),
    ],
)  # fmt: skip
def test_one_sentence_and_a_way_out(error: Exception, sentence: str, way_out: str) -> None:
    assert is_native(error)
    told = explain(error, "creating x")
    assert sentence in told.message
    assert "\n" not in str(told)
    assert "\\n" not in str(told)
    assert "FSNamesystem" not in str(told)
    assert way_out in (told.way_out or "")


def test_names_of_classes_are_left_out() -> None:
    assert first_line("java.io.FileNotFoundException: File does not exist: /a\n\tat org.x.Y") == (
        "File does not exist: /a"
    )
    assert first_line("already exists") == "already exists"


def test_errors_of_ours_are_not_hdfs() -> None:
    assert not is_native(ValueError("ours"))
    assert not is_native(KeyboardInterrupt())
