"""Compile the extension; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    ext_modules=cythonize(
        [
            Extension(
                "mura_core._pixel_sums",
                ["mura_core/_pixel_sums.pyx"],
                # A fused multiply-add would round differently from machine to machine, and
                # -ffast-math would cancel the compensation away: neither may slip in.
                extra_compile_args=["-O3", "-ffp-contract=off", "-fno-fast-math"],
            )
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
