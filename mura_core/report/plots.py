"""Plot the curves of a run as SVG that is part of the page, for light and dark pages."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from mura_core.data import LEVELS
from mura_core.evaluation import Judgement, at_level
from mura_core.report.levels import LEVEL_NAMES

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Replaced by the colour of the page's text, which Matplotlib can't name.
_INK = "#010203"
# Colours that can be seen on white and on black, and told apart by the colour-blind.
_COLOURS = ("#2f81d6", "#d1701f", "#2a9d78", "#a866c4")
_DASHES = ("-", "--", "-.", ":")


def roc_curves(judgement: Judgement, levels: Sequence[str] = tuple(LEVELS)) -> Markup:
    """Return the receiver operating characteristic of a run as SVG.

    Parameters
    ----------
    judgement : Judgement
        The judged predictions.
    levels : sequence of str
        The levels to plot.
    """
    from sklearn.metrics import roc_curve

    figure = _figure()
    axes = figure.subplots()
    for level, colour, dashes in zip(levels, _COLOURS, _DASHES, strict=False):
        units = at_level(judgement.predictions, level, judgement.study_score)
        if units["label"].nunique() == 2:
            false_positives, sensitivity, _ = roc_curve(units["label"], units["probability"])
            label = f"by {LEVEL_NAMES[level]}"
            axes.plot(false_positives, sensitivity, dashes, color=colour, label=label)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    return _as_svg("ROC curves", figure, axes)


def learning_curves(history: pd.DataFrame) -> Markup:
    """Return the loss and AUROC of every epoch as SVG.

    Parameters
    ----------
    history : DataFrame
        Contents of `history.csv`.
    """
    figure = _figure()
    loss, auroc = figure.subplots(2, sharex=True)
    for column in ("fold", "run_seed"):
        if column not in history:
            history[column] = 0
    trainings = ["run_seed", "fold"]
    if "seed" in history:
        # Plot only the last attempt of a training that restarted.
        last = history.groupby(trainings)["seed"].transform("last")
        history = history[history["seed"] == last]
    for number, (_, fold) in enumerate(history.groupby(trainings)):
        # Label only the lines of the first training, because the others look the same.
        training, judged = (None, None) if number else ("training (weighted)", "judged images")
        loss.plot(fold["epoch"], fold["loss"], ".-", color=_COLOURS[0], label=training, linewidth=1)
        if "val_loss" in fold:
            style = {"color": _COLOURS[1], "linewidth": 1}
            loss.plot(fold["epoch"], fold["val_loss"], "s--", markersize=3, label=judged, **style)
            auroc.plot(fold["epoch"], fold["val_auroc"], "s--", markersize=3, **style)
    loss.set(ylabel="loss")
    auroc.set(xlabel="epoch", ylabel="AUROC of judged images")
    auroc.xaxis.get_major_locator().set_params(integer=True)
    return _as_svg("Learning curves", figure, loss, auroc)


def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(4.2, 4), layout="constrained")


def _as_svg(name: str, figure: Figure, *plots: Axes) -> Markup:
    """Return a figure as a named SVG element in the colour and font of the page's text."""
    from markupsafe import Markup
    from matplotlib import rc_context

    for axes in plots:
        axes.tick_params(color=_INK, labelcolor=_INK)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(_INK)
        for line in axes.spines.values():
            line.set_color(_INK)
        axes.spines[["top", "right"]].set_visible(False)
    if plots[0].get_legend_handles_labels()[0]:
        plots[0].legend(frameon=False, fontsize="small", labelcolor=_INK)
    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    # Matplotlib numbers the parts of each figure from 1, but ids are of the whole page.
    svg = re.sub(r' id="[a-z0-9.]+_\d+"', "", file.getvalue().partition("<svg")[2])
    # All text in it is the program's own, so that nothing needs escaping.
    svg = svg.replace(_INK, "currentColor")
    return Markup(f'<svg role="img" aria-label="{name}"{svg}')  # noqa: S704
