"""Paths on pages don't name users."""

from pathlib import Path

import pytest

from mura_core.report.paths import shown_config, shown_path


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("data/MURA", "data/MURA"),
        ("~", "~"),
        ("/home/someone/MURA", "~/MURA"),
        ("/home/someone", ".../home/someone"[4:]),
        ("/home/someone-else/films/MURA", ".../films/MURA"),
        ("/mnt/users/someone/films/MURA", ".../films/MURA"),
        ("/MURA", "MURA"),
        (r"C:\Users\someone\films\MURA", ".../films/MURA"),
        ("phantoms", "phantoms"),
    ],
)
def test_a_path_is_shown_without_its_user(path: str, shown: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    assert shown_path(path) == shown


def test_paths_of_a_config_are_shown_so():
    text = "data: /srv/a b/films/MURA\nexplain_images: '/x/y/list: 1.txt'\nsome:\n- /w/x/y/z\n"
    shown = "data: .../films/MURA\nexplain_images: '.../y/list: 1.txt'\nsome:\n- .../y/z\n"
    assert shown_config(text) == shown
