"""What the tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_sets import write_mura
from hypothesis import settings

# Every change is judged by the same examples. `make test-all` looks for new ones.
settings.register_profile("same-examples", derandomize=True)
settings.register_profile("new-examples", print_blob=True)
settings.load_profile("same-examples")

REAL = Path(os.environ["MURA_DATA"]) if "MURA_DATA" in os.environ else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    if REAL is None:
        pytest.skip("MURA_DATA, the folder of real radiographs, is not set")
    return REAL


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, so that no test reads or fills the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "mura-run"


@pytest.fixture(scope="session")
def mura(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in MURA's layout, not to be changed."""
    return write_mura(tmp_path_factory.mktemp("mura"))


@pytest.fixture
def own_mura(tmp_path: Path) -> Path:
    """A small data set in MURA's layout, to be damaged at will."""
    return write_mura(tmp_path / "data")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a distribution with a plugin, the way pip lays it out."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, source: str) -> None:
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mura]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install
