"""The two native modules: what pyproject.toml cannot say."""

import os
import subprocess
import tomllib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools_rust import Binding, RustExtension, Strip

ROOT = Path(__file__).parent
TRIALS = os.environ.get("FLURRY_FAST_TRIALS")  # "1": with seeded bugs and fail points, for tests alone
SANITIZE = os.environ.get("FLURRY_FAST_SANITIZE")  # e.g. "address,undefined"; csrc/ only
flags = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-O1", "-g"] if SANITIZE else ["-O3"]


def commit() -> str:
    """Of this repository (not of one that an sdist was unpacked into), as rust/build.rs finds it."""
    git = ["git", "-C", str(ROOT)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "setup.py"], check=True, capture_output=True)
        said = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True)
        return said.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


facts = {
    "FF_VERSION": tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"],
    "FF_COMMIT": os.environ.get("FLURRY_FAST_COMMIT") or commit(),
    "FF_PROFILE": f"sanitize={SANITIZE}" if SANITIZE else "release",
}
wire = Extension(
    "flurry_fast._wire",
    sources=[
        "csrc/_wire.pyx",
        "csrc/rdkafka.c",
        "csrc/outlet.c",
        *(f"csrc/thrift_{part}.c" for part in ("encode", "reply", "exchange")),
    ],
    depends=[str(path) for path in sorted(Path("csrc").iterdir())],
    include_dirs=["csrc"],
    define_macros=[(name, f'"{value}"') for name, value in facts.items()],
    extra_compile_args=[*flags, "-std=c11", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    extra_link_args=[f"-fsanitize={SANITIZE}"] if SANITIZE else [],
    libraries=["dl"],
)
core = RustExtension(
    "flurry_fast._core",
    path="rust/Cargo.toml",
    binding=Binding.PyO3,
    debug=False,  # a counter of a debug build is still exact, but nobody should time one
    strip=Strip.No,
    args=["--locked"],
    features=["trials"] if TRIALS else [],
)

setup(
    ext_modules=cythonize(
        [wire],
        build_dir="build/cython",
        include_path=["csrc"],
        compiler_directives={
            "language_level": 3,
            "freethreading_compatible": False,
            "auto_pickle": False,  # nothing here outlives its process
            "autotestdict": False,
        },
    ),
    rust_extensions=[core],
    zip_safe=False,
)
