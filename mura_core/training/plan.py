"""Whether a training fits a GPU's memory, and what to do where it doesn't, before it starts."""

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
    """Return a function from a recipe to the memory that training an architecture by it takes."""
    strategy = strategy_on("cpu")  # a step's tensors are as large there as on a GPU

    @cache
    def counted(recipe: Recipe) -> StepMemory:
        _, trained = compiled(
            lambda: build_model(build, options, None, square), recipe, 1000, strategy
        )
        memory = count_memory(trained)
        keras.backend.clear_session()  # layers of later models are named as if this never was
        return memory

    def count(recipe: Recipe) -> StepMemory:
        # The graph is the same for any batch size, and for any number of batches summed.
        return counted(
            replace(recipe, batch_size=2, accumulate=min(recipe.accumulate, 2), epochs=2)
        )

    return count


def ways(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe and those that take less memory, by the options that they add.

    What changes the result least comes first: recomputing changes nothing, 16 bits the rounding.
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
        if way not in found.values():  # what is asked for already isn't another way
            found[name] = way
    return found


def fitted(count: Count, recipe: Recipe, gpu_memory: int, replicas: int = 1) -> Recipe:
    """Return the recipe, changed as little as its training needs to fit a GPU's memory.

    A way that takes batches whole comes before one that accumulates smaller ones, whose batch
    normalisation has other statistics.

    Parameters
    ----------
    count : callable
        As `counter` makes it.
    gpu_memory : int
        Bytes of each GPU.
    replicas : int
        GPUs that share a batch.

    Raises
    ------
    UsageError
        Not even one image at a time fits.
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
        f"the network doesn't fit {in_gib(gpu_memory)}: one image at a time takes {in_gib(least)},"
        f" beside {in_gib(RUNTIME)} for the GPU's software. Take a smaller --size or --model."
    )


def flags(recipe: Recipe) -> str:
    """Return the options that ask for what a plan decides."""
    return (
        f"--batch-size {recipe.batch_size}"
        + (f" --accumulate {recipe.accumulate}" if recipe.accumulate > 1 else "")
        + (" --rematerialise" if recipe.rematerialise else "")
        + (" --mixed-precision" if recipe.mixed_precision else "")
    )


def warn_if_too_large(count: Count, recipe: Recipe, gpu_memory: int, replicas: int) -> None:
    """Warn where a training is expected to take more memory than each GPU has."""
    wanted = _taken_of_each(count, recipe, replicas) + RUNTIME
    if wanted > gpu_memory:
        log.warning(
            "Training is expected to take %s of a GPU that has %s, and may fail;"
            " `mura-run plan` says what fits, and --gpu-memory %.1fGiB makes this run fit",
            in_gib(wanted), in_gib(gpu_memory), gpu_memory / 2**30,
        )  # fmt: skip


def _taken_of_each(count: Count, recipe: Recipe, replicas: int) -> int:
    # The largest share of a batch that doesn't divide evenly.
    return count(recipe).of(-(-recipe.batch_size // replicas)).total


def plan_as_text(count: Count, recipe: Recipe, gpu_memory: int) -> str:
    """Return what training takes of a GPU, each way that takes less, and what to do."""
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
        f"Counted from the training step's graph, with {ALLOWANCE - 1:.0%} on top for what it"
        " doesn't show",
        f"(scratch space, copies; {ALLOWANCE_RECOMPUTED - 1:.0%} where features are recomputed) and"
        f" {in_gib(RUNTIME)} of the GPU",
        "for CUDA and its libraries. On CPUs this was held against what training took; on GPUs it"
        " is untried.",
        "",
    ]
    try:
        lines.append(f"To fit {in_gib(gpu_memory)}: {flags(fitted(count, recipe, gpu_memory))}")
    except UsageError as error:
        lines.append(f"Error: {error}")
    return "\n".join(lines)


def in_gib(count: int) -> str:
    """Return a number of bytes, to read."""
    return f"{count / 2**30:.2f} GiB"
