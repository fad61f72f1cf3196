"""What a training takes of a GPU, and how to make it fit."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

from mura_core.runs import RunConfig
from mura_plugins.manager import load_plugins, parse_options, resolve

log = logging.getLogger("mura")


def plan_training(config: RunConfig, gpu_memory: int) -> str:
    """Return what a run's training would take of a GPU, and what to do about it, as text.

    Parameters
    ----------
    gpu_memory : int
        Bytes.
    """
    from mura_core.inference import start_tensorflow

    start_tensorflow(config.seed)

    from mura_core.training import plan_as_text

    return plan_as_text(_memory_counter(config), config.recipe, gpu_memory)


def fit_into_memory(config: RunConfig, gpu_memory: int) -> RunConfig:
    """Return a run's settings, changed as little as its training needs to fit each GPU."""
    from mura_core.inference import start_tensorflow, strategy_on

    start_tensorflow(config.seed)

    from mura_core.training import fitted, flags

    replicas = strategy_on(config.devices).num_replicas_in_sync
    recipe = fitted(_memory_counter(config), config.recipe, gpu_memory, replicas)
    log.info("Planned: %s", flags(recipe))
    return replace(config, **asdict(recipe))


def _memory_counter(config: RunConfig) -> Any:
    from mura_core.training import counter

    build = resolve(load_plugins().architecture(config.model).build)
    return counter(build, parse_options(build, config.options), config.square)
