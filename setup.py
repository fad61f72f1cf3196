"""Compile the extensions; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

# A fused multiply-add would round differently from machine to machine, and -ffast-math would
# cancel the compensation away: neither may slip in. No flag names a processor.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math"]

# Each with the headers that it includes.
IMAGING = "mura_core/imaging"
EXTENSIONS = {
    "_pixel_sums": ["_processor.h", "_pixel_sums.h"],
    "_processor": ["_processor.h"],
    "_resize": ["_processor.h", "_resize.h"],
    "png/_chunks": [],
    "png/_rows": ["_processor.h", "png/_unfilter.h", "png/_diagonal.h"],
}

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"{IMAGING}/{name}".replace("/", "."),
                [f"{IMAGING}/{name}.pyx"],
                include_dirs=[IMAGING, f"{IMAGING}/png"],
                depends=[f"{IMAGING}/{header}" for header in headers],
                extra_compile_args=FLAGS,
                # Without a compiler modules named `pure_...` do the same, slower.
                optional=True,
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
