"""Decisions based on the watched metric: keep the weights, lower the learning rate, stop."""

from __future__ import annotations

from dataclasses import dataclass

from mura_core.training.settings import Recipe

_PLATEAU_EPOCHS = 3
_PLATEAU_FACTOR = 0.1  # Rajpurkar et al. 2017, section 3.1


@dataclass(frozen=True)
class Watched:
    """State of the watched metric.

    Attributes
    ----------
    best : float or None
        Best value so far, lower is better (AUROC is negated); None before the first epoch.
    without_better : int
        Number of epochs since the best value.
    since_lowered : int
        Number of epochs since the best value or since the learning rate was last lowered.
    """

    best: float | None = None
    without_better: int = 0
    since_lowered: int = 0

    def stops(self, recipe: Recipe) -> bool:
        """Return whether early stopping ends the training."""
        return 0 < recipe.early_stopping <= self.without_better


@dataclass(frozen=True)
class Decision:
    """The decision after an epoch.

    Attributes
    ----------
    watched : Watched
        State after this epoch.
    is_best : bool
        Whether the epoch is the best so far.
    rate_factor : float
        Factor by which to multiply the learning rate.
    """

    watched: Watched
    is_best: bool
    rate_factor: float = 1.0


def decide(recipe: Recipe, watched: Watched, figure: float) -> Decision:
    """Return the decision after an epoch.

    Parameters
    ----------
    recipe : Recipe
    watched : Watched
        State before this epoch.
    figure : float
        The epoch's value of the metric `recipe.watch`. NaN is never the best.
    """
    value = -figure if recipe.watch == "auroc" else figure
    if value < (watched.best if watched.best is not None else float("inf")):
        return Decision(Watched(value), is_best=True)
    without_better, since_lowered = watched.without_better + 1, watched.since_lowered + 1
    if recipe.schedule == "plateau" and since_lowered >= _PLATEAU_EPOCHS:
        lowered = Watched(watched.best, without_better)
        return Decision(lowered, is_best=False, rate_factor=_PLATEAU_FACTOR)
    return Decision(Watched(watched.best, without_better, since_lowered), is_best=False)
