"""Compile the extensions; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

# A fused multiply-add would round differently from machine to machine, and -ffast-math would
# cancel the compensation away: neither may slip in. No flag names a processor.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math"]

EXTENSIONS = {
    "_pixel_sums": ["_processor.h", "_pixel_sums.h"],
    "_png_chunks": [],
    "_png_rows": ["_processor.h", "_unfilter.h", "_diagonal.h"],
    "_processor": ["_processor.h"],
    "_resize": ["_processor.h", "_resize.h"],
}

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"mura_core.{name}",
                [f"mura_core/{name}.pyx"],
                include_dirs=["mura_core"],
                depends=[f"mura_core/{header}" for header in headers],
                extra_compile_args=FLAGS,
            )
            for name, headers in EXTENSIONS.items()
        ],
        build_dir="build/cython",
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
        },
    )
)
