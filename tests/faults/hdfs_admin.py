"""`hdfs dfsadmin` of a stack."""

from __future__ import annotations

import subprocess

from flurry_fast.stack import Stack, jars, machine
from flurry_fast.stack.jvm import OPEN, Jvm


def dfsadmin(stack: Stack, *words: str) -> None:
    """Raises CalledProcessError."""
    java = machine.find_java()
    assert java is not None
    class_path = f"{stack.folder.conf / 'hdfs'}:{jars.place(stack.cache, 'hdfs')}/*"
    jvm = Jvm(java.program, stack.folder.root, quick=True)
    command = jvm.tool("dfsadmin", OPEN, class_path, "org.apache.hadoop.hdfs.tools.DFSAdmin", *words)
    subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
