"""What of the C library's memory goes back to the system."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3  # mallopt(3)
LARGE = 4 * 2**20  # bytes: tables and buffers of files are larger, what lives long is smaller


def give_large_pieces_back() -> bool:
    """Have pieces of memory above 4 MiB mapped for themselves, as long as the process lives; False if that can not be.

    glibc begins like that, but once a large piece was freed it takes those of its size from its heap, up to 32 MiB. A
    heap shrinks at its end only: tables that grow and are moved would then hold on to twice their size for ever.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False  # another C library: musl gives back at once
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE))
