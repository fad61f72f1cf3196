"""On arm64 the extensions' C code gives the bits that it gives on x86-64, under emulation."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "arm64" / "digests.c"
IMAGING = Path(__file__).parents[2] / "mura_core" / "imaging"
# As in setup.py. GCC would fuse multiplications and additions on arm64 by default.
FLAGS = ["-O3", "-ffp-contract=off", "-fno-fast-math", "-Wall", "-Wno-unused-function"]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"


def digests(compiler: str, folder: Path, *start: str, flags: list[str] = FLAGS) -> list[str]:
    program = folder / compiler
    includes = [f"-I{IMAGING}", f"-I{IMAGING / 'png'}"]
    command = [compiler, *flags, *includes, "-static", str(SOURCE), "-o", str(program), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    done = subprocess.run([*start, str(program)], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", COMPILER, EMULATOR))),
    reason="gcc for arm64 and qemu-user aren't installed",
)
def test_the_same_bits_on_arm64(tmp_path):
    here = digests("gcc", tmp_path)
    assert len(here) > 50
    assert digests(COMPILER, tmp_path, EMULATOR) == here
    # What the flag is for: with it left out, the digests differ.
    fused = digests(COMPILER, tmp_path, EMULATOR, flags=["-O3"])
    assert fused != here
