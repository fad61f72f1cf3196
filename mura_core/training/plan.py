"""Predict whether training fits into GPU memory, and find options that make it fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import keras

from mura_core.errors import UsageError
from mura_core.imaging import Square
from mura_core.inference import strategy_on
from mura_core.training.memory import (
    ALLOWANCE,
    ALLOWANCE_RECOMPUTED,
    RUNTIME,
    StepMemory,
    count_memory,
)
from mura_core.training.model import build_model, compiled
from mura_core.training.settings import Recipe

log = logging.getLogger("mura")

Count = Callable[[Recipe], StepMemory]


def counter(build: Callable[..., keras.Model], options: Mapping[str, Any], square: Square) -> Count:
    """Return a cached memory estimator for an architecture.

    Parameters
    ----------
    build : callable
        The architecture's builder.
    options : mapping
        Keyword arguments of the builder.
    square : Square
        The input size.

    Returns
    -------
    callable
        Takes a Recipe and returns the StepMemory of its training step.
    """
    strategy = strategy_on("cpu")  # tensors have the same size on a GPU

    @cache
    def counted(recipe: Recipe) -> StepMemory:
        _, trained = compiled(
            lambda: build_model(build, options, None, square), recipe, 1000, strategy
        )
        memory = count_memory(trained)
        keras.backend.clear_session()  # resets the counters in the names of later layers
        return memory

    def count(recipe: Recipe) -> StepMemory:
        # The graph doesn't depend on the batch size or the number of accumulated batches.
        return counted(
            replace(recipe, batch_size=2, accumulate=min(recipe.accumulate, 2), epochs=2)
        )

    return count


def ways(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe and variants that need less memory.

    They are ordered by their effect on the result: recomputing features has none, 16 bits change
    the rounding.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    dict of str to Recipe
        The keys are the added options, such as "--rematerialise", or "as it is".
    """
    found: dict[str, Recipe] = {}
    options: tuple[dict[str, Any], ...] = (
        {},
        {"rematerialise": True},
        {"mixed_precision": True},
        {"rematerialise": True, "mixed_precision": True},
    )
    for changes in options:
        way = replace(recipe, **changes)
        name = " ".join(f"--{option.replace('_', '-')}" for option in changes) or "as it is"
        if way not in found.values():  # unless the recipe has these options already
            found[name] = way
    return found


def fitted(count: Count, recipe: Recipe, gpu_memory: int, replicas: int = 1) -> Recipe:
    """Return the recipe with the fewest changes that make it fit into GPU memory.

    Whole batches are preferred to accumulating smaller ones, which changes the statistics of batch
    normalisation.

    Parameters
    ----------
    count : callable
        Memory estimator, as returned by `counter`.
    recipe : Recipe
    gpu_memory : int
        Bytes of each GPU.
    replicas : int
        Number of GPUs that share a batch.

    Raises
    ------
    UsageError
        Not even a batch of one image fits.
    """
    available = gpu_memory - RUNTIME

    together = recipe.batch_size * recipe.accumulate
    for batch_size in range(recipe.batch_size, 0, -1):
        if together % batch_size == 0:
            parts = replace(recipe, batch_size=batch_size, accumulate=together // batch_size)
            for way in ways(parts).values():
                if _taken_of_each(count, way, replicas) <= available:
                    return way
    least = min(count(way).of(1).total for way in ways(recipe).values())
    raise UsageError(
        f"the network doesn't fit into {in_gib(gpu_memory)}: a batch of one image takes"
        f" {in_gib(least)}, plus {in_gib(RUNTIME)} for the GPU's software. Use a smaller --size or"
        " --model."
    )


def flags(recipe: Recipe) -> str:
    """Return the command-line options for the memory settings of a recipe.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    str
        Such as "--batch-size 8 --accumulate 2".
    """
    return (
        f"--batch-size {recipe.batch_size}"
        + (f" --accumulate {recipe.accumulate}" if recipe.accumulate > 1 else "")
        + (" --rematerialise" if recipe.rematerialise else "")
        + (" --mixed-precision" if recipe.mixed_precision else "")
    )


def warn_if_too_large(count: Count, recipe: Recipe, gpu_memory: int, replicas: int) -> None:
    """Warn if training is expected to need more memory than a GPU has.

    Parameters
    ----------
    count : callable
        Memory estimator, as returned by `counter`.
    recipe : Recipe
    gpu_memory : int
        Bytes of each GPU.
    replicas : int
        Number of GPUs that share a batch.
    """
    wanted = _taken_of_each(count, recipe, replicas) + RUNTIME
    if wanted > gpu_memory:
        log.warning(
            "Training is expected to take %s on a GPU with %s and may run out of memory;"
            " `mura-run plan` lists settings that fit, and --gpu-memory %.1fGiB makes this run fit",
            in_gib(wanted), in_gib(gpu_memory), gpu_memory / 2**30,
        )  # fmt: skip


def _taken_of_each(count: Count, recipe: Recipe, replicas: int) -> int:
    # Rounded up: the largest share of a batch that doesn't divide evenly.
    return count(recipe).of(-(-recipe.batch_size // replicas)).total


def plan_as_text(count: Count, recipe: Recipe, gpu_memory: int) -> str:
    """Return a table of the GPU memory that a recipe and its variants need.

    Parameters
    ----------
    count : callable
        Memory estimator, as returned by `counter`.
    recipe : Recipe
    gpu_memory : int
        Bytes of the GPU.

    Returns
    -------
    str
        Several lines; the last one gives the options that fit, or says that none do.
    """
    available = gpu_memory - RUNTIME
    asked = count(recipe).of(recipe.batch_size)
    lines = [
        f"Batches of {recipe.batch_size}: weights {in_gib(asked.weights)}, optimizer"
        f" {in_gib(asked.optimizer)}, activations {in_gib(asked.activations)}, workspace"
        f" {in_gib(asked.workspace)}.",
        "",
        f"{'':36}{'batches of ' + str(recipe.batch_size):>16}{'largest batch':>16}",
    ]
    for name, way in ways(recipe).items():
        memory = count(way)
        lines.append(
            f"{name:36}{in_gib(memory.of(recipe.batch_size).total):>16}"
            f"{memory.largest_batch(available) or 'none fits':>16}"
        )
    together = recipe.batch_size * recipe.accumulate
    singly = count(replace(recipe, batch_size=1, accumulate=together)).of(1).total
    name = f"--batch-size 1 --accumulate {together}"
    lines.append(f"{name:36}{in_gib(singly):>16}{'any':>16}")
    lines += [
        "",
        f"Counted from the graph of the training step, plus {ALLOWANCE - 1:.0%} for scratch space"
        " and copies",
        f"({ALLOWANCE_RECOMPUTED - 1:.0%} if features are recomputed) and {in_gib(RUNTIME)} for"
        " CUDA and its libraries.",
        "Checked against measurements on CPUs; untested on GPUs.",
        "",
    ]
    try:
        lines.append(f"To fit {in_gib(gpu_memory)}: {flags(fitted(count, recipe, gpu_memory))}")
    except UsageError as error:
        lines.append(f"Error: {error}")
    return "\n".join(lines)


def in_gib(count: int) -> str:
    """Format a number of bytes in GiB, such as "1.50 GiB"."""
    return f"{count / 2**30:.2f} GiB"
