"""Write the report of a run."""

from __future__ import annotations

from pathlib import Path

from mura_core.files import replacing
from mura_core.runs import PHANTOMS, config_of


def write_report(folder: Path) -> None:
    """Write `report.html` from the other files of a run folder.

    Parameters
    ----------
    folder : Path
        The run folder.
    """
    from mura_core.report import report_page

    page = report_page(folder, phantoms=config_of(folder).data == PHANTOMS)
    with replacing(folder / "report.html") as file:
        file.write(page)
