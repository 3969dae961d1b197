"""flurry-fast decode: print device reports as people or scripts want to read them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console

from flurry_fast._core import decode_json
from flurry_fast.cli.report_view import render

LENGTH_BYTES = 4  # of a framed file: u32, big-endian, before each report
CHUNK = 1 << 20
PLAIN_WIDTH = 140  # of what is not a terminal


class _CutFileError(Exception):
    """A framed file ends inside a record; the records before it were whole."""


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a report and line.")
@click.option("--framed", is_flag=True, help="Each file holds many reports, as `simulate --out` writes them.")
def command(files: tuple[str, ...], as_json: bool, framed: bool) -> None:
    """Print the reports in FILES; - is standard input.

    An unreadable report is printed with its reason (--json: {"outcome": reason}) and is no failure.
    Exit status 1 if a file can not be read; the others are printed all the same.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    failed = False
    for name in files:
        try:
            for number, data in _reports(name, framed):
                line = decode_json(data)
                if as_json:
                    sys.stdout.buffer.write(line + b"\n")
                else:
                    title = name if number is None else f"{name}, report {number}"
                    console.print(render(json.loads(line), title=title, size=len(data)))
        except BrokenPipeError:
            raise
        except OSError as error:
            failed = True
            _complain(f"{name} can not be read: {error.strerror or error}.")
        except _CutFileError as error:
            failed = True
            _complain(f"{name} {error}.")
    sys.stdout.flush()
    if failed:
        sys.exit(1)


def _complain(sentence: str) -> None:
    sys.stdout.flush()
    click.echo(f"flurry-fast decode: {sentence}", err=True)


def _reports(name: str, framed: bool) -> Iterator[tuple[int | None, bytes]]:
    """(Number from 1 in a framed file, bytes) of each report. Raises OSError, _CutFileError."""
    if name == "-":
        yield from _reports_of(sys.stdin.buffer, framed)
    else:
        with Path(name).open("rb") as file:
            yield from _reports_of(file, framed)


def _reports_of(file: BinaryIO, framed: bool) -> Iterator[tuple[int | None, bytes]]:
    if not framed:
        yield None, file.read()
        return
    number = 0
    while length := _read(file, LENGTH_BYTES):
        number += 1
        wanted = int.from_bytes(length, "big")
        data = _read(file, wanted) if len(length) == LENGTH_BYTES else b""
        if len(length) < LENGTH_BYTES or len(data) < wanted:
            raise _CutFileError(f"ends inside report {number}: it is cut, or not framed")
        yield number, data


def _read(file: BinaryIO, length: int) -> bytes:
    """As many of the next `length` bytes as there are. A wrong length takes no more memory than the file has bytes."""
    data = bytearray()
    while len(data) < length and (chunk := file.read(min(CHUNK, length - len(data)))):
        data += chunk
    return bytes(data)
