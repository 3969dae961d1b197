"""Large pieces of memory go back to the system when they are freed, also after others of their size were."""

import subprocess
import sys

PROGRAM = """
import ctypes, pathlib, sys
from flurry_fast.consumer.allocator import give_large_pieces_back
def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
if sys.argv[1] == "back":
    assert give_large_pieces_back()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
size = 8 << 20
libc.free(libc.malloc(30 << 20))
before = resident()
held = []
for _ in range(20):
    held.append(libc.malloc(size)); libc.memset(held[-1], 1, size)
small = libc.malloc(100 << 10)
for place in held:
    libc.free(place)
print(resident() - before)
"""


def left(what: str) -> int:
    """MiB that stay after 160 MiB were freed below something small."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_is_freed_goes_back() -> None:
    assert left("back") < 20
    assert left("as it is") > 100, "glibc does it by itself now: the module is needed no more"
