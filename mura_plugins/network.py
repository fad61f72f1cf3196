"""What an explainer sees of a trained network."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.records import NotApplicable

if TYPE_CHECKING:
    import keras


class Network:
    """A trained model from images (N, H, W) to logits, and the layer that methods look at.

    Parameters
    ----------
    model : keras.Model
        Sequential, functional, nested or subclassed, from (N, H, W, 1) to logits (N, 1).
    layer : str, optional
        The layer whose output is looked at. By default the last convolution's, after the
        normalisations, activations and joins that directly follow it, before any pooling.

    Raises
    ------
    NotApplicable
        The model has no convolution, or no layer of this name.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        self.model = model
        self._layer = _named_layer(model, layer) if layer else _last_convolution(model)
        self.layer: str = self._layer.name

    def features_and_logit(self, images: Any) -> tuple[Any, Any]:
        """Return the layer's output (N, h, w, channels) and the logits (N,), as tensors.

        Inside a `tf.GradientTape` that watches `images`, the logits' gradient with respect to
        the features can be taken.

        Parameters
        ----------
        images : tensor of shape (N, H, W), float32
        """
        # The layer's call is wrapped for the time of one forward pass. This reaches layers
        # that no `keras.Model(inputs, layer.output)` can: in nested and in subclassed models.
        seen: list[Any] = []
        original = self._layer.call

        def recording(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            seen.append(output)
            return output

        self._layer.call = recording
        try:
            logits = self.model(images[..., None], training=False)
        finally:
            self._layer.call = original
        return seen[-1], logits[:, 0]

    def gradients(
        self, images: NDArray[np.generic]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return features, the logits' gradients with respect to them, and the logits.

        Parameters
        ----------
        images : ndarray of shape (N, H, W)

        Returns
        -------
        features, gradients : ndarrays of shape (N, h, w, channels), float32
        logits : ndarray of shape (N,), float32
        """
        results = self._traced_gradients(images.astype(np.float32))
        return tuple(tensor.numpy() for tensor in results)

    @cached_property
    def _traced_gradients(self) -> Any:
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def traced(images: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                features, logits = self.features_and_logit(images)
            # One image's logit depends on that image's features alone (training=False), so the
            # sum's gradient holds each image's own.
            gradients = tape.gradient(logits, features)
            return [tf.cast(tensor, tf.float32) for tensor in (features, gradients, logits)]

        return traced


def _last_convolution(model: keras.Model) -> keras.Layer:
    import keras

    follows = (
        keras.layers.BatchNormalization,
        keras.layers.LayerNormalization,
        keras.layers.GroupNormalization,
        keras.layers.Activation,
        keras.layers.ReLU,
        keras.layers.LeakyReLU,
        keras.layers.PReLU,
        keras.layers.ELU,
        keras.layers.Add,
        keras.layers.Multiply,
        keras.layers.Concatenate,
    )
    convolutions = (
        keras.layers.Conv2D,
        keras.layers.DepthwiseConv2D,
        keras.layers.SeparableConv2D,
    )
    chosen = None
    directly_after = False
    for layer in _leaves(model):
        if isinstance(layer, convolutions) or (directly_after and isinstance(layer, follows)):
            chosen, directly_after = layer, True
        else:
            directly_after = False
    if chosen is None:
        raise NotApplicable(
            "the network has no convolution whose output could be mapped onto the image",
            "Choose an explainer that works on the image itself, or another architecture.",
        )
    return chosen


def _named_layer(model: keras.Model, name: str) -> keras.Layer:
    layers = {layer.name: layer for layer in _leaves(model)}
    if name not in layers:
        raise NotApplicable(f"the network has no layer {name!r}", f"It has {', '.join(layers)}.")
    return layers[name]


def _leaves(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers that hold no others, in the order in which the network applies them."""
    # A functional or sequential model knows its order; other layers list theirs as assigned.
    inner = getattr(layer, "layers", None) or list(
        layer._flatten_layers(recursive=False, include_self=False)
    )
    return [leaf for child in inner for leaf in _leaves(child)] or [layer]
