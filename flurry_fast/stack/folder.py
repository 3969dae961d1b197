"""The folder of a stack: what is where in it, who may touch it, what is recorded there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from flurry_fast.stack.errors import NoStack, OptionsRefused, StackBusy
from flurry_fast.stack.options import StackOptions

STATE = "stack.json"
_OURS = ("conf", "data", "log", "run", "flurry-fast.toml")
_TRASH = ".removed"
_TEMPORARY = ".stack.json"
_POLL = 0.1  # seconds
# The path becomes part of class paths, comma-separated lists and URIs.
_PLAIN = re.compile(r"[A-Za-z0-9/._+@~-]+")


class Folder:
    """`root/` with conf/, data/, log/ and run/ in it, and stack.json: by that file it is known to be ours."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.conf = self.root / "conf"
        self.data = self.root / "data"
        self.log = self.root / "log"
        self.run = self.root / "run"
        self.settings = self.root / "flurry-fast.toml"

    def log_of(self, name: str) -> Path:
        """Where a server's output goes."""
        return self.log / f"{name}.log"

    def is_ours(self) -> bool:
        """Whether a stack was started here, or is about to be."""
        return (self.root / STATE).exists()

    @contextmanager
    def claimed(self, wait: float = 0.0) -> Iterator[None]:
        """Nobody else changes the stack meanwhile; makes the folder. The claim ends with the process, however it ends.

        Raises StackBusy after `wait` seconds, OptionsRefused if the folder holds something else.
        """
        if not _PLAIN.fullmatch(str(self.root)):
            raise OptionsRefused(
                f"A stack can not live in {self.root}: its servers would stumble over the path.",
                way_out="Choose --dir with letters, digits and / . _ + @ ~ - only.",
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OptionsRefused(f"{self.root} can not be a stack's folder: {error.strerror}.") from None
        try:
            _lock(handle, self.root, time.monotonic() + wait)
            self._refuse_foreign()
            yield
        finally:
            with contextlib.suppress(OSError):  # it holds something, as a rule
                self.root.rmdir()
            os.close(handle)

    def recorded(self) -> StackOptions | None:
        """With what the stack was started; None: there is none. Raises OptionsRefused if it can not be read."""
        try:
            text = (self.root / STATE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            return StackOptions.model_validate_json(text)
        except ValidationError:
            raise OptionsRefused(
                f"{self.root / STATE} is not what this version writes.",
                way_out="Begin with empty data (`flurry-fast stack up --fresh`), or use another --dir.",
            ) from None

    def expect(self) -> StackOptions:
        """As `recorded`. Raises NoStack if there is none."""
        options = self.recorded()
        if options is None:
            raise NoStack(f"There is no stack in {self.root}.", way_out="Start one with `flurry-fast stack up`.")
        return options

    def record(self, options: StackOptions) -> None:
        """Before anything else is written here."""
        write(self.root / STATE, options.model_dump_json() + "\n", self.root / _TEMPORARY)

    def prepare(self) -> None:
        """Make the folders; what an interrupted wipe left goes now."""
        for folder in (self.conf, self.data, self.log, self.run):
            folder.mkdir(exist_ok=True)
        shutil.rmtree(self.root / _TRASH, ignore_errors=True)

    def has_data(self) -> bool:
        """Whether servers have ever written here."""
        return self.data.is_dir() and any(self.data.iterdir())

    def wipe(self) -> None:
        """Remove all that a stack has written, and the folder if nothing else is in it. Needs the claim, and no server.

        Data leaves under its name in one step, so that an interrupted wipe leaves all of it or nothing to the servers.
        """
        trash = self.root / _TRASH
        shutil.rmtree(trash, ignore_errors=True)
        if self.data.exists():
            self.data.rename(trash)
        for name in (*_OURS, _TRASH, _TEMPORARY, STATE):
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if not any(self.root.iterdir()):
            self.root.rmdir()

    def _refuse_foreign(self) -> None:
        if self.is_ours():
            return
        if not self.root.exists():
            raise StackBusy(f"{self.root} was removed just now.", way_out="Try again.")
        if any(path.name not in (_TEMPORARY, _TRASH) for path in self.root.iterdir()):
            raise OptionsRefused(
                f"{self.root} holds other things than a stack.", way_out="Choose an empty or a new folder with --dir."
            )


def write(path: Path, text: str, temporary: Path | None = None) -> None:
    """All of the text, or what was there before."""
    temporary = temporary or path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _lock(handle: int, root: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StackBusy(
                    f"Another `flurry-fast stack` is at work in {root}.", way_out="Wait until it is done."
                ) from None
            time.sleep(_POLL)
        else:
            return
