"""How far work has come, in lines of a log."""

import logging
import time

import pytest

from mura_core.progress import progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def said(monkeypatch):
    monkeypatch.setattr(logging.getLogger("mura"), "level", logging.INFO)


def test_a_line_every_ten_seconds_tells_pace_and_rest(clock, capsys):
    with progress("Reading", "images") as so_far:
        for second in range(1, 26):
            clock[0] += 1
            so_far(5 * second, 250)
    assert capsys.readouterr().err.splitlines() == [
        "Reading: 50 of 250 images, 5 a second, 40 s left",
        "Reading: 100 of 250 images, 5 a second, 30 s left",
    ]


def test_slow_batches_tell_the_time_of_each_once_there_are_two(clock, capsys):
    with progress("Explaining by rise", "images") as so_far:
        for done in (32, 64, 70):
            clock[0] += 320
            so_far(done, 70)
    assert capsys.readouterr().err.splitlines() == [
        "Explaining by rise: 32 of 70 images",
        "Explaining by rise: 64 of 70 images, 10 s each, 60 s left",
        "Explaining by rise: 70 of 70 images, 17 s each, 0 s left",
    ]


def test_what_a_run_that_goes_on_finds_done_does_not_count(clock, capsys):
    with progress("Reading", "images") as so_far:
        for done in (1000, 1010, 1020):
            so_far(done, 2000)
            clock[0] += 10
    assert capsys.readouterr().err.splitlines() == [
        "Reading: 1010 of 2000 images, 1 a second, 990 s left",
        "Reading: 1020 of 2000 images, 1 a second, 980 s left",
    ]
