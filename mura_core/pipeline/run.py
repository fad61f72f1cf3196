"""A whole run, from a folder of radiographs to a report.

Each step (`train_run`, `evaluate_run`, `explain_run`, `write_report`) reads the files that earlier
steps wrote to the run folder, so that it can be repeated separately.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mura_core.pipeline.evaluate import evaluate_run
from mura_core.pipeline.explain import explain_run
from mura_core.pipeline.explained import explainers_named
from mura_core.pipeline.explainer import NothingDrawn
from mura_core.pipeline.report import write_report
from mura_core.pipeline.train import train_run
from mura_core.runs import RunConfig, as_json, read_metrics
from mura_plugins import RunSummary
from mura_plugins.manager import load_plugins

log = logging.getLogger("mura")


def run_pipeline(config: RunConfig, folder: Path, *, resume: bool = False) -> None:
    """Train, evaluate and explain the networks of a run, and write the report.

    Parameters
    ----------
    config : RunConfig
        Settings of the run.
    folder : Path
        The run folder.
    resume : bool
        Whether to continue a stopped run from its last checkpoint.

    Raises
    ------
    NothingDrawn
        After the report is written, if none of the methods can explain the network.
    """
    plugins = load_plugins()
    explainers_named(plugins, config.explain)  # refuse unknown names before the training
    train_run(config, folder, plugins, resume=resume)
    evaluate_run(folder)
    nothing_drawn = None
    if config.explain:
        try:
            explain_run(folder, plugins)
        except NothingDrawn as error:
            nothing_drawn = error  # raised at the end: what was trained is reported all the same
    write_report(folder)
    metrics = as_json(read_metrics(folder))
    for failure in plugins.tell_finished(RunSummary(folder, config.model, metrics)):
        log.warning(
            "The plugin %r of %s failed after the run: %s",
            failure.plugin, failure.distribution, failure.reason,
        )  # fmt: skip
    log.info("Report: %s", folder / "report.html")
    if nothing_drawn is not None:
        raise nothing_drawn


def what_is_safe(folder: Path | None) -> str:
    """Return a line that says what a stopped run has kept, and how to continue it.

    Parameters
    ----------
    folder : Path or None
        The run folder, if the command has one.
    """
    line = "prepared images stay in the cache, and a repeated command uses them"
    if not folder or not (folder / "config.yaml").is_file():
        return f"{line}."
    kept = ", ".join(sorted(path.name for path in folder.iterdir()))
    return f"{line}; {folder} holds {kept}. To continue: mura-run --resume {folder}"
