"""Estimate the GPU memory that training takes, and adapt the settings to it."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

from mura_core.runs import RunConfig
from mura_plugins.manager import load_plugins, parse_options, resolve

log = logging.getLogger("mura")


def plan_training(config: RunConfig, gpu_memory: int) -> str:
    """Return a report on the GPU memory that training takes, and how to make it fit.

    Parameters
    ----------
    config : RunConfig
        Settings of the run.
    gpu_memory : int
        Memory of the GPU, in bytes.
    """
    from mura_core.inference import start_tensorflow

    start_tensorflow(config.seed)

    from mura_core.training import plan_as_text

    return plan_as_text(_memory_counter(config), config.recipe, gpu_memory)


def fit_into_memory(config: RunConfig, gpu_memory: int) -> RunConfig:
    """Return the settings with the smallest changes that make the training fit each GPU.

    Parameters
    ----------
    config : RunConfig
        Settings of the run.
    gpu_memory : int
        Memory of each GPU, in bytes.
    """
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
