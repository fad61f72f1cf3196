"""Train by default from many seeds, in many set-ups, and fail if one doesn't learn.

    python tests/learning_seeds.py --seeds 20
    python tests/learning_seeds.py --seeds 5 --model conv2 --every

Each seed trains on the phantoms, without restarts, in one of twelve set-ups in turn: with and
without XLA, as three generations of processors (`ONEDNN_MAX_CPU_ISA`), on one thread and on two.
`--every` trains each seed in every set-up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEAST_AUROC = 0.95  # by study


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="so many, from 0 on and 2019")
    parser.add_argument("--model", default="conv4")
    parser.add_argument("--every", action="store_true", help="each seed in every set-up")
    parser.add_argument("options", nargs="*", help="further options of mura-run, after --")
    arguments = parser.parse_args()
    setups = list(itertools.product(("off", "on"), ("SSE41", "AVX2", ""), (1, 2)))
    seeds = [2019, *range(arguments.seeds - 1)]
    trainings = (
        itertools.product(seeds, setups)
        if arguments.every
        else zip(seeds, itertools.cycle(setups), strict=False)
    )
    failed = 0
    print(
        f"{'seed':>5} {'XLA':>4} {'processor':>10} {'threads':>8} {'AUROC by study':>15} {'s':>5}"
    )
    for seed, (jit, processor, threads) in trainings:
        started = time.perf_counter()
        auroc = trained_auroc(arguments.model, seed, jit, processor, threads, arguments.options)
        seconds = time.perf_counter() - started
        failed += auroc < LEAST_AUROC
        setup = f"{seed:>5} {jit:>4} {processor or 'own':>10} {threads:>8}"
        failure = "  FAILED" if auroc < LEAST_AUROC else ""
        print(f"{setup} {auroc:>15.3f} {seconds:>5.0f}{failure}", flush=True)
    return 1 if failed else 0


def trained_auroc(
    model: str, seed: int, jit: str, processor: str, threads: int, options: list[str]
) -> float:
    """Return the study AUROC of one training; 0 where it collapsed."""
    environment = os.environ | {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    if processor:
        environment["ONEDNN_MAX_CPU_ISA"] = processor
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            Path(sys.executable).with_name("mura-run"), "train", "--model", model, "--jit", jit,
            "--seed", str(seed), "--no-restart", "--out", run, *options,
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
            return 0.0
        figures = json.loads((run / "metrics.json").read_text())["figures"]
    [row] = [one for one in figures if (one["level"], one["body_part"]) == ("study", "ALL")]
    return row["auroc"] or 0.0


if __name__ == "__main__":
    sys.exit(main())
