"""The development stack: real Kafka, HDFS and HBase on loopback, from pinned jars, without containers.

with tempfile.TemporaryDirectory() as folder:
    stack = Stack.up(Path(folder) / "stack", StackOptions(quick=True))
    stack.addresses.kafka, stack.addresses.settings
    stack.kill("dn1")
    stack.start("dn1")
    stack.down(wipe=True)
"""

from flurry_fast.stack.addresses import Addresses
from flurry_fast.stack.errors import (
    JarsUnavailable,
    NoStack,
    OptionsRefused,
    ServerFailed,
    StackBusy,
    StackError,
    StackRefused,
)
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.ports import free_base
from flurry_fast.stack.progress import Progress
from flurry_fast.stack.stack import Stack, take_down
from flurry_fast.stack.status import ServerStatus, StackStatus

__all__ = [
    "Addresses",
    "JarsUnavailable",
    "NoStack",
    "OptionsRefused",
    "Progress",
    "ServerFailed",
    "ServerStatus",
    "Stack",
    "StackBusy",
    "StackError",
    "StackOptions",
    "StackRefused",
    "StackStatus",
    "free_base",
    "take_down",
]
