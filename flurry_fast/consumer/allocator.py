"""What of the C library's memory goes back to the system."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3  # mallopt(3)
LARGE = 128 * 2**10  # bytes, as glibc begins: columns and tables grow beyond it, what lives long is smaller


def give_large_pieces_back() -> bool:
    """Have pieces of memory above 128 KiB mapped for themselves, as long as the process lives; False: that can not be.

    glibc begins like that, but once a larger piece was freed it takes those of its size from its heap, up to 32 MiB. A
    heap shrinks at its end only, and columns that grow beside each other leave holes in it: it came to 850 MB where a
    quarter of that was in use. What is mapped grows without being copied, and goes back when it is freed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False  # another C library: musl gives back at once
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE))
