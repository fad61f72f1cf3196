"""Build the model that is saved, and the compiled model around it that is trained."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mura_core.errors import DataError, MuraError, UsageError, first_reason
from mura_core.imaging import PixelStatistics, Square, has_avx512
from mura_core.inference import has_gpu, input_name
from mura_core.training.accumulation import AccumulatingModel
from mura_core.training.augmentation import NUMBERS, Augmentation
from mura_core.training.cells import CELLS, CellLoss, has_cells
from mura_core.training.optimizer import CentralisedAdam, head_variables, kernels
from mura_core.training.rematerialisation import Rematerialised
from mura_core.training.settings import Recipe
from mura_plugins.guard import in_words, is_from_user
from mura_plugins.network_checks import untrainable_model, unusable_network

_LIBRARIES = ("keras", "tensorflow")


def build_model(
    build: Callable[..., keras.Model],
    options: Mapping[str, Any],
    statistics: PixelStatistics | None,
    square: Square,
) -> keras.Model:
    """Return a network with a first layer that standardises raw pixels.

    The layer is Keras' own `Normalization`, so the saved model is a plain Keras model from pixel
    values 0..255 to the logit and needs no other file. The name of its input records how images
    are resized to squares (see `square_of`).

    Parameters
    ----------
    build : callable
        The architecture's builder.
    options : mapping
        Keyword arguments of the builder.
    statistics : PixelStatistics, optional
        Mean and deviation of the training images, of shape (size, size). Without them, pixels are
        passed on unchanged.
    square : Square
        The input size, and how images are resized to it.

    Returns
    -------
    keras.Model
        From images (N, size, size, 1) to logits (N, 1). Its last layer is the network.

    Raises
    ------
    UsageError
        The architecture can't be built for images of this size, or with these options.
    DataError
        The network doesn't take one image, or doesn't return one logit per image.
    """
    size = square.size
    inputs = keras.Input((size, size, 1), name=input_name(square))
    standardisation = keras.layers.Normalization(
        axis=(1, 2, 3), dtype="float32", name="standardisation"
    )
    # Keras marks this layer as unsupported by XLA, since its statistics may be plain NumPy
    # arrays; here they are weights.
    standardisation.supports_jit = True
    standardised = standardisation(inputs)
    if statistics is not None:
        # A pixel that never varied is divided by infinity, which gives 0, as in `standardise`.
        deviation = np.where(statistics.deviation > 0, statistics.deviation, np.inf)
        standardisation.adapt_mean.assign(statistics.mean[..., None])
        standardisation.adapt_variance.assign(deviation[..., None] ** 2)
    else:
        standardisation.adapt_mean.assign(np.zeros((size, size, 1)))
        standardisation.adapt_variance.assign(np.ones((size, size, 1)))
    standardisation.finalize_state()
    network = _built(build, options, size)
    return keras.Model(inputs, network(standardised), name="mura")


def _built(build: Callable[..., keras.Model], options: Mapping[str, Any], size: int) -> Any:
    """Return an architecture's network, or refuse it in one line that names the builder."""
    where = f"{getattr(build, '__module__', '')}:{getattr(build, '__qualname__', build)}"
    try:
        network = build((size, size, 1), **options)
        fault = unusable_network(network, size)
    except MuraError:
        raise
    except BaseException as error:
        if is_from_user(error):
            raise
        reason = first_reason(error) if _is_from_keras(error) else in_words(error)
        reason = reason.removeprefix("ValueError: ")
        raise UsageError(
            f"{where}: the network can't be built for {size} x {size} pixels: {reason}"
        ) from error
    if fault:
        raise DataError(f"{where}: {fault}")
    return network


def _is_from_keras(error: BaseException) -> bool:
    """Return whether Keras or TensorFlow raised an exception, whose messages have many lines."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(f"/{name}/" in frames[-1].filename for name in _LIBRARIES)


def compiled(
    build: Callable[[], keras.Model],
    recipe: Recipe,
    steps: int,
    strategy: tf.distribute.Strategy,
    *,
    boxes_an_image: int = 0,
    class_weights: Mapping[int, float] | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Return the model to save, and the compiled model around it to fit.

    They share their weights. The model to save isn't compiled, so its file holds no optimizer.

    Parameters
    ----------
    build : callable
        Returns the model. It is called in the strategy's scope, so that the variables are created
        on its devices.
    recipe : Recipe
    steps : int
        Number of batches per epoch.
    strategy : tf.distribute.Strategy
    boxes_an_image : int
        Largest number of boxes in an image; 0 if there are no boxes to learn from.
    class_weights : mapping, optional
        Weights of the labels 0 and 1, for the loss of the cell map.

    Returns
    -------
    model : keras.Model
        The model to save.
    trained : keras.Model
        The model to fit.
    """
    with _precision(recipe.mixed_precision, has_gpu(strategy)), strategy.scope():
        model = build()
        if recipe.zero_logit:
            _zero_logit(model)
        if strategy.num_replicas_in_sync > 1:
            _synchronise_normalisation(model)
        trained = _trained(model, recipe, boxes_an_image, class_weights)
        trained.compile(
            optimizer=_optimizer(model, recipe, steps),
            loss=keras.losses.BinaryCrossentropy(
                from_logits=True, label_smoothing=recipe.label_smoothing
            ),
            metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
            # `loss` includes the cell loss; this is the loss of the image's label only.
            weighted_metrics=[
                keras.metrics.BinaryCrossentropy(
                    name="image_loss", from_logits=True, label_smoothing=recipe.label_smoothing
                )
            ],
            jit_compile=uses_xla(recipe.jit, strategy, model),
        )
        trained.optimizer.build(trained.trainable_variables)
    return model, trained


def _trained(
    model: keras.Model,
    recipe: Recipe,
    boxes_an_image: int,
    class_weights: Mapping[int, float] | None,
) -> keras.Model:
    """Return the model to fit, around the plain model that is saved.

    Its inputs are the images, then the random numbers of the augmentation, if any, then the boxes
    and the labels if cells are trained on boxes.
    """
    images = keras.Input(model.input_shape[1:], name="images")
    inputs = [images]
    augmentation = None
    if recipe.augment:
        inputs.append(keras.Input((NUMBERS,), name="numbers"))
        augmentation = Augmentation(recipe.augment)
        images = augmentation(inputs)
    network = model.layers[-1]
    standardised = model.get_layer("standardisation")
    learns_cells = boxes_an_image and recipe.cell_loss and has_cells(network)
    if learns_cells and recipe.rematerialise:
        raise UsageError(
            "--rematerialise can't be combined with learning from boxes: --cell-loss 0"
        )
    if learns_cells:
        boxes, labels = keras.Input((boxes_an_image, 4), name="boxes"), keras.Input((1,))
        ends = [network.outputs[0], network.get_layer(CELLS).output]
        logits, cells = keras.Model(network.inputs, ends)(standardised(images))
        loss = CellLoss(
            recipe.cell_loss,
            (class_weights[0], class_weights[1]) if class_weights else (1.0, 1.0),
            recipe.label_smoothing,
            model.input_shape[1],
            augmentation,
            name="cell_loss",
        )
        logits = loss([logits, cells, boxes, labels, *inputs[1:]])
        inputs += [boxes, labels]
    elif recipe.rematerialise:
        logits = Rematerialised(network)(standardised(images))
    else:
        logits = model(images)
    if recipe.accumulate == 1:
        return keras.Model(inputs, logits)
    accumulating = AccumulatingModel(inputs, logits)
    accumulating.accumulate = recipe.accumulate
    return accumulating


def _optimizer(model: keras.Model, recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    rate: Any = recipe.learning_rate
    if recipe.schedule == "cosine":
        updates = recipe.epochs * steps // recipe.accumulate
        warm_up = min(round(recipe.warm_up * steps / recipe.accumulate), updates - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warm_up else recipe.learning_rate,
            decay_steps=max(1, updates - warm_up),
            warmup_target=recipe.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    optimizer = CentralisedAdam(
        learning_rate=rate,
        weight_decay=recipe.weight_decay or None,
        centralised=kernels(model) if recipe.gradient_centralisation else (),
        faster=head_variables(model) if recipe.head_rate != 1 else (),
        factor=recipe.head_rate,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


@contextmanager
def _precision(mixed: bool, gpu: bool) -> Iterator[None]:
    """Build layers that compute in 16 bits and keep their weights in 32 bits."""
    usual = keras.config.dtype_policy()
    if mixed:
        keras.config.set_dtype_policy("mixed_float16" if gpu else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def refuse_useless(model: keras.Model, name: str) -> None:
    """Raise an error if a model would turn out to be useless after it is trained.

    Parameters
    ----------
    model : keras.Model
        As returned by `build_model`. Its weights are changed.
    name : str
        Name of the architecture, for the message.

    Raises
    ------
    UsageError
        Its outputs are probabilities, or it can't be saved and loaded: a layer isn't registered
        with Keras, is a Lambda, or has a constant that isn't saved.
    """
    if fault := untrainable_model(model):
        raise UsageError(f"--model {name} can't be used: {fault}")


def uses_xla(jit: str, strategy: tf.distribute.Strategy, model: keras.Model) -> bool:
    """Return whether to compile the training step of a model with XLA.

    Parameters
    ----------
    jit : {"auto", "on", "off"}
        "auto" uses XLA on CPUs where it is faster.
    strategy : tf.distribute.Strategy
    model : keras.Model

    Raises
    ------
    UsageError
        `jit` is "on" and there are several devices: XLA can't compile Keras' step across devices.
    """
    if jit == "on" and strategy.num_replicas_in_sync > 1:
        raise UsageError(
            f"--jit on: XLA can't compile a training step on {strategy.num_replicas_in_sync}"
            " devices; use --jit off, or one device, such as --devices gpu:0"
        )
    if jit != "auto":
        return jit == "on"
    if strategy.num_replicas_in_sync > 1 or has_gpu(strategy):
        return False  # untested on GPUs
    # On a CPU, XLA took ten to twenty times as long for the gradients of depthwise convolutions.
    if any(isinstance(one, keras.layers.DepthwiseConv2D) for one in model._flatten_layers()):
        return False
    # With XLA, conv4 trained up to 1.4 times as fast on a CPU without AVX-512, and 1.4 times as
    # slowly on one with it.
    return not has_avx512()


def _zero_logit(model: keras.Model) -> None:
    for layer in model._flatten_layers():
        if layer.name == "logit" and isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(keras.ops.zeros_like(layer.kernel))


def _synchronise_normalisation(model: keras.Model) -> None:
    # Otherwise each replica keeps separate statistics, and only those of the first are saved.
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
