"""What can go wrong with a stack."""

from __future__ import annotations

from flurry_fast.errors import FlurryFastError


class StackError(FlurryFastError):
    """Base of what follows."""


class OptionsRefused(StackError):
    """The options contradict each other, or what is in the folder. Nothing was started."""

    exit_code = 2


class StackRefused(StackError):
    """The machine lacks something (Java, Maven, memory, disk, a port). Nothing was started."""


class NoStack(StackError):
    """There is no stack in that folder, or no server of that name in it."""


class StackBusy(StackError):
    """Another command is at work in that folder."""


class JarsUnavailable(StackError):
    """Maven could not bring the jars."""


class ServerFailed(StackError):
    """A server ended, or did not get ready; the message names its log and shows the end of it."""
