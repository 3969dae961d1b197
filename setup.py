"""The two native modules: what pyproject.toml cannot say."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools_rust import Binding, RustExtension, Strip

SANITIZE = os.environ.get("FLURRY_FAST_SANITIZE")  # e.g. "address,undefined"; csrc/ only
flags = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-O1", "-g"] if SANITIZE else ["-O3"]

wire = Extension(
    "flurry_fast._wire",
    sources=["csrc/_wire.pyx", "csrc/rdkafka.c"],
    include_dirs=["csrc"],
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
)

setup(
    ext_modules=cythonize(
        [wire],
        build_dir="build/cython",
        include_path=["csrc"],
        compiler_directives={"language_level": 3, "freethreading_compatible": False},
    ),
    rust_extensions=[core],
    zip_safe=False,
)
