"""Run one contestant's whole pass over a number of images, and print its peak memory in MiB.

python benchmarks/peak_memory.py FOLDER 20000 mura
"""

import sys
from pathlib import Path

import numpy as np  # what every contestant has, and the baseline is


def main() -> None:
    folder, images, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if name != "nothing":
        from contests import CONTESTS
        from work import Data

        from mura_core.data import Manifest, read_manifest

        manifest = read_manifest(folder)
        times = -(-images // len(manifest.table))
        import pandas as pd

        table = pd.concat([manifest.table] * times, ignore_index=True).iloc[:images]
        CONTESTS["whole pass"].contestants[name](Data(Manifest(manifest.folder, table), manifest))()
    np.zeros(1)
    # Not ru_maxrss, which a child inherits from the process that forked it.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            print(int(line.split()[1]) / 1024)


if __name__ == "__main__":
    main()
