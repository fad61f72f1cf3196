"""Make the page of results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from mura_core.pipeline.device_check.jobs import Plan
from mura_core.pipeline.device_check.records import Outcome

_TITLES = {
    "devices": "Devices",
    "losses": "Training",
    "memory": "Memory, compared with mura-run plan",
    "speed": "Speed",
    "heatmaps": "Heatmaps",
    "whole run": "Whole run",
    "not tried": "Not checked",
}


def check_page(plan: Plan, outcomes: Sequence[Outcome]) -> str:
    """Return the page as HTML, with failures first and then all checks by kind.

    Parameters
    ----------
    plan : Plan
        What was checked.
    outcomes : sequence of Outcome
        The results.
    """
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("mura_core.pipeline.device_check", "."),
        autoescape=True,
        trim_blocks=True,
    )
    kinds = [*_TITLES, *dict.fromkeys(one.check for one in outcomes if one.check not in _TITLES)]
    ordered = sorted(outcomes, key=lambda one: kinds.index(one.check))
    tables = {
        _TITLES.get(check, check.capitalize()): list(lines)
        for check, lines in groupby(ordered, key=lambda one: one.check)
    }
    counts = Counter(one.status for one in outcomes)
    return environment.get_template("page.html").render(
        plan=plan,
        tables=tables,
        counts={status: counts[status] for status in ("passed", "failed", "not applicable")},
        failures=[one for one in outcomes if one.status == "failed"],
        made=f"{datetime.now():%Y-%m-%d %H:%M}",
    )
