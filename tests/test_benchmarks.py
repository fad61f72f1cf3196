"""The benchmarks measure what is there: each contestant of ours does its work."""

from pathlib import Path

import pytest
from contests import CONTESTS
from work import Data

from mura_core.data import Manifest, read_manifest


def ours() -> list[tuple[str, str]]:
    return [
        (contest, next(iter(contestants.contestants)))
        for contest, contestants in CONTESTS.items()
        # A training step of these takes seconds; their code is conv4's.
        if not any(name in contest for name in ("resnet18", "efficientnet", "by 32"))
    ]


@pytest.mark.parametrize(("contest", "contestant"), ours())
def test_our_contestants_do_their_work(contest: str, contestant: str, mura: Path):
    manifest = read_manifest(mura)
    few = Manifest(manifest.folder, manifest.table.iloc[:8].reset_index(drop=True))
    work = CONTESTS[contest].contestants[contestant](Data(few, few))
    work()
