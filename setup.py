"""Compile the extensions; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

# A fused multiply-add would round differently from machine to machine, and -ffast-math would
# cancel the compensation away: neither may slip in. No flag names a processor.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                "mura_core._pixel_sums", ["mura_core/_pixel_sums.pyx"], extra_compile_args=FLAGS
            ),
            Extension("mura_core._resize", ["mura_core/_resize.pyx"], extra_compile_args=FLAGS),
            Extension(
                "mura_core._png_rows",
                ["mura_core/_png_rows.pyx"],
                include_dirs=["mura_core"],
                depends=["mura_core/_unfilter.h"],
                extra_compile_args=FLAGS,
            ),
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
