"""One run, from a folder of radiographs to a report, in a run folder.

Each step reads what the step before it left in the folder, so that every one can be taken again
on its own: `train`, `evaluate`, `explain`, `write_report`.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from mura_core.pipeline.evaluate import evaluate_run
from mura_core.pipeline.explain import explain_run
from mura_core.pipeline.explained import explainers_named
from mura_core.pipeline.report import write_report
from mura_core.pipeline.train import train_run
from mura_core.runs import RunConfig
from mura_plugins import RunSummary
from mura_plugins.manager import load_plugins

log = logging.getLogger("mura")


# The steps ------------------------------------------------------------------------------------


def run_pipeline(config: RunConfig, folder: Path, *, resume: bool = False) -> None:
    """Train, judge and explain, and write the report."""
    plugins = load_plugins()
    explainers_named(plugins, config.explain)  # what isn't there is said before anything else
    train_run(config, folder, plugins, resume=resume)
    evaluate_run(folder)
    if config.explain:
        explain_run(folder, plugins)
    write_report(folder)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for failure in plugins.tell_finished(RunSummary(folder, config.model, metrics)):
        log.warning(
            "The plugin %r of %s failed when told of the run: %s",
            failure.plugin, failure.distribution, failure.reason,
        )  # fmt: skip
    log.info("Report: %s", folder / "report.html")


def what_is_safe(folder: Path | None) -> str:
    """Return, as one line, what a run that was stopped leaves to the user."""
    line = "prepared images stay in the cache, and a repeated command goes on from them"
    if not folder or not (folder / "config.yaml").is_file():
        return f"{line}."
    kept = ", ".join(sorted(path.name for path in folder.iterdir()))
    return f"{line}; {folder} holds {kept}. To go on: mura-run --resume {folder}"
