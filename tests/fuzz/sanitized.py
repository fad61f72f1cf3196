"""Build the extensions with AddressSanitizer and UBSan, and run the fuzzer with them.

    python tests/fuzz/sanitized.py --count 1000000 --seed 1

The arguments are the fuzzer's. One run for each kind of vector instructions shares the count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mura_core.imaging._processor import best_instructions
from mura_core.imaging.cpu import NAMES

ROOT = Path(__file__).parents[2]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"


def build(folder: Path) -> None:
    """Build the package with sanitizers into a folder."""
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build", "--build-base", folder / "build",
         "--build-lib", folder / "lib", "--force"],
        cwd=ROOT,
        env=os.environ | {"CFLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined"},
        check=True,
    )  # fmt: skip


def fuzz(folder: Path, *, count: int, seed: int, names: tuple[str, ...]) -> int:
    """Run the fuzzer with each kind of instructions; return the first exit status that isn't 0."""
    for number, name in enumerate(names):
        environment = os.environ | {
            "PYTHONPATH": str(folder / "lib"),
            # The interpreter itself isn't built with the sanitizer, so it comes first.
            "LD_PRELOAD": sanitizer_library(),
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
            # Python's own pools would hide where an array ends.
            "PYTHONMALLOC": "malloc",
            "MURA_INSTRUCTIONS": name,
        }
        command = [sys.executable, ROOT / "tests" / "fuzz" / "fuzz_png.py", "--count",
                   str(count // len(names)), "--seed", str(seed + number)]  # fmt: skip
        done = subprocess.run(command, env=environment, check=False)
        if done.returncode:
            return done.returncode
    return 0


def sanitizer_library() -> str:
    """Return the path of AddressSanitizer's library, or its name where gcc doesn't have it."""
    command = ["gcc", "-print-file-name=libasan.so"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    names = NAMES[: best_instructions() + 1]
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        return fuzz(Path(folder), count=arguments.count, seed=arguments.seed, names=names)


if __name__ == "__main__":
    sys.exit(main())
