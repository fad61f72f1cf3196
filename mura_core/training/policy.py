"""What a watched figure decides after an epoch: keep the weights, lower the rate, stop."""

from __future__ import annotations

from dataclasses import dataclass

from mura_core.training.settings import Recipe

_PLATEAU_EPOCHS = 3
_PLATEAU_FACTOR = 0.1  # Rajpurkar et al. 2017, section 3.1


@dataclass(frozen=True)
class Watched:
    """How the watched figure has gone so far.

    Attributes
    ----------
    best : float or None
        Its best value, where less is better; None before the first epoch.
    without_better : int
        Epochs since then.
    since_lowered : int
        Epochs since then, or since the learning rate was lowered.
    """

    best: float | None = None
    without_better: int = 0
    since_lowered: int = 0

    def stops(self, recipe: Recipe) -> bool:
        """Return whether training stops early."""
        return 0 < recipe.early_stopping <= self.without_better


@dataclass(frozen=True)
class Decision:
    """What follows from an epoch's figure.

    Attributes
    ----------
    watched : Watched
        With the epoch counted.
    is_best : bool
        Whether the figure is the best so far.
    rate_factor : float
        What the learning rate is multiplied by.
    """

    watched: Watched
    is_best: bool
    rate_factor: float = 1.0


def decide(recipe: Recipe, watched: Watched, figure: float) -> Decision:
    """Return what an epoch's figure decides.

    Parameters
    ----------
    recipe : Recipe
    watched : Watched
        Before this epoch.
    figure : float
        The watched figure of the epoch: `recipe.watch`. NaN is never the best.
    """
    value = -figure if recipe.watch == "auroc" else figure
    if value < (watched.best if watched.best is not None else float("inf")):
        return Decision(Watched(value), is_best=True)
    without_better, since_lowered = watched.without_better + 1, watched.since_lowered + 1
    if recipe.schedule == "plateau" and since_lowered >= _PLATEAU_EPOCHS:
        lowered = Watched(watched.best, without_better)
        return Decision(lowered, is_best=False, rate_factor=_PLATEAU_FACTOR)
    return Decision(Watched(watched.best, without_better, since_lowered), is_best=False)
