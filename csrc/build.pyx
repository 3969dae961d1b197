# What was built, and how.
cdef extern from "build.h":
    const char *FF_VERSION
    const char *FF_COMMIT
    const char *FF_PROFILE
    const char *FF_COMPILER
    int FF_OPTIMIZED
    const unsigned long CYTHON_HEX_VERSION


def build_info():
    """Version, commit, profile and compiler of this module; see _wire.pyi."""
    return {
        "version": FF_VERSION.decode(),
        "commit": FF_COMMIT.decode(),
        "profile": FF_PROFILE.decode(),
        "optimized": bool(FF_OPTIMIZED),
        "compiler": FF_COMPILER.decode(),
        "cython": ".".join(str(CYTHON_HEX_VERSION >> shift & 0xFF) for shift in (24, 16, 8)),
    }
