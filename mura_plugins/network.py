"""The view of a trained network that explainers get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mura_plugins.errors import NotApplicable

if TYPE_CHECKING:
    import keras


class Network:
    """A trained model from images (N, H, W) to logits (N,), with access to its features.

    Parameters
    ----------
    model : keras.Model
        Sequential, functional, nested or subclassed, from (N, H, W, 1) to logits (N, 1).
    layer : str, optional
        Name of the layer whose output is explained. By default, for networks that end in global
        average pooling and one unit, the input of the pooling. For other networks, the output of
        the last convolution, after the normalisations, activations and merges that directly follow
        it, before any pooling.

    Raises
    ------
    NotApplicable
        The model has no layer of this name. Methods that use the layer also raise it if `layer`
        isn't given and the model has no convolution.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        self.model = model
        self._named = _named_layer(model, layer) if layer else None
        self._uses_layer = False  # whether the current method has used `layer`
        self._read: str | None = None  # the layer that it last passed to `output_of`
        self._others: dict[str, Network] = {}  # by layer name, so that each is traced once

    @cached_property
    def _chosen(self) -> keras.Layer:
        if self._named is not None:
            return self._named
        head = _pooling_head(self.model)
        return head[0] if head else _last_convolution(self.model)

    @property
    def _layer(self) -> keras.Layer:
        self._uses_layer = True
        return self._chosen

    @property
    def layer(self) -> str:
        """The name of the layer whose output is explained."""
        return self._layer.name

    @property
    def looked_at(self) -> str | None:
        """The name of the layer that a method has used, or None if it used pixels only."""
        return self._chosen.name if self._uses_layer else self._read

    def forget_what_was_looked_at(self) -> None:
        """Reset `looked_at` before the next method. Traced functions are kept."""
        self._uses_layer = False
        self._read = None

    @cached_property
    def layer_names(self) -> frozenset[str]:
        """The names of all leaf layers."""
        return frozenset(layer.name for layer in leaves(self.model))

    def output_of(self, name: str, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the output (N, ...), float32, of a layer for images, computed in batches.

        Parameters
        ----------
        name : str
            Name of the layer. If there is no such layer, NotApplicable is raised.
        images : ndarray of shape (N, H, W)
        """
        self._read = name
        if name not in self._others:
            self._others[name] = Network(self.model, name)
        other = self._others[name]
        batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        found = [other._traced_features(batch.astype(np.float32)).numpy() for batch in batches]
        return np.concatenate(found)

    @cached_property
    def _traced_features(self) -> Any:
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def traced(images: Any) -> Any:
            return tf.cast(self.features_and_logit(images)[0], tf.float32)

        return traced

    @property
    def pooled_weights(self) -> NDArray[np.float32] | None:
        """The weights (channels,) of the logit for the mean of each channel of `layer`.

        None if the network doesn't end in global average pooling of this layer and one unit.
        """
        head = _pooling_head(self.model)
        if head is None or head[0] is not self._layer:
            return None
        return np.asarray(head[1].get_weights()[0][:, 0])

    @cached_property
    def baseline(self) -> NDArray[np.float32]:
        """The baseline image (H, W), float32: the mean training image, or black if unknown."""
        import keras

        shape = self.model.input_shape[1:3]
        for layer in leaves(self.model):
            if isinstance(layer, keras.layers.Normalization):
                mean = np.asarray(layer.mean, np.float32)
                return np.array(np.broadcast_to(mean, (1, *shape, 1))[0, :, :, 0])
        return np.zeros(shape, np.float32)

    def logits(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the logits (N,), float32, of images (N, H, W), computed in batches."""
        batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        return self._logits_of(batches)

    def logits_through(
        self, image: NDArray[np.generic], masks: Iterable[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the logits of one image under masks, computed in batches.

        Parameters
        ----------
        image : ndarray of shape (H, W)
        masks : iterable of ndarray of shape (H, W)
            Values from 0 to 1: 1 keeps the image, 0 replaces it with the `baseline`.

        Returns
        -------
        ndarray of shape (n_masks,), float32
        """
        difference = image.astype(np.float32) - self.baseline
        seen = (self.baseline + mask * difference for mask in masks)
        return self._logits_of(np.stack(batch) for batch in _in_batches(seen))

    def pixel_gradients(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the gradients of the logits with respect to the pixels, computed in batches.

        Parameters
        ----------
        images : ndarray of shape (N, H, W)

        Returns
        -------
        ndarray of shape (N, H, W), float32
            In logits per grey level.
        """
        batches = (images[start : start + _BACKWARD] for start in range(0, len(images), _BACKWARD))
        pixels = (batch.astype(np.float32) for batch in batches)
        return np.concatenate([self._traced_pixel_gradients(some).numpy() for some in pixels])

    def _logits_of(self, batches: Iterable[NDArray[np.generic]]) -> NDArray[np.float32]:
        results = [self._traced_logits(batch.astype(np.float32)).numpy() for batch in batches]
        return np.concatenate(results)

    @cached_property
    def _traced_logits(self) -> Any:
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def traced(images: Any) -> Any:
            return tf.cast(self.model(images[..., None], training=False)[:, 0], tf.float32)

        return traced

    @cached_property
    def _traced_pixel_gradients(self) -> Any:
        import tensorflow as tf

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def traced(images: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                logits = self.model(images[..., None], training=False)[:, 0]
            return tape.gradient(logits, images)

        return traced

    def features_and_logit(self, images: Any) -> tuple[Any, Any]:
        """Return the layer's output and the logits as tensors.

        If the network applies the layer several times, the last output is returned. Inside a
        `tf.GradientTape` that watches `images`, the gradient of the logits with respect to the
        features can be computed.

        Parameters
        ----------
        images : tensor of shape (N, H, W), float32

        Returns
        -------
        features : tensor of shape (N, h, w, channels)
        logits : tensor of shape (N,)
        """
        # The layer's call is wrapped during one forward pass. Unlike
        # `keras.Model(inputs, layer.output)`, this works in nested and subclassed models.
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
        """Return the features, the gradients of the logits with respect to them, and the logits.

        Parameters
        ----------
        images : ndarray of shape (N, H, W)

        Returns
        -------
        features, gradients : ndarrays of shape (N, h, w, channels), float32
        logits : ndarray of shape (N,), float32
        """
        _ = self._layer  # raises NotApplicable here instead of while tracing
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
            # With training=False, a logit depends only on the features of the same image, so the
            # gradient of the sum contains the gradient of each logit.
            gradients = tape.gradient(logits, features)
            return [tf.cast(tensor, tf.float32) for tensor in (features, gradients, logits)]

        return traced


_BATCH = 32
_BACKWARD = 8  # smaller, because a full backward pass keeps the output of every layer


def _in_batches(images: Iterable[NDArray[np.float32]]) -> Iterator[list[NDArray[np.float32]]]:
    waiting = iter(images)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _pooling_head(model: keras.Model) -> tuple[keras.Layer, keras.Layer] | None:
    """Return the pooled layer and the unit if the network ends in pooling and one unit."""
    import keras

    last = [leaf for leaf in leaves(model) if not isinstance(leaf, keras.layers.Dropout)][-3:]
    if len(last) < 3:
        return None
    pooled, pooling, unit = last
    if not isinstance(pooling, keras.layers.GlobalAveragePooling2D):
        return None
    if not isinstance(unit, keras.layers.Dense) or unit.units != 1:
        return None
    return pooled, unit


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
    for layer in leaves(model):
        if isinstance(layer, convolutions) or (directly_after and isinstance(layer, follows)):
            chosen, directly_after = layer, True
        else:
            directly_after = False
    if chosen is None:
        raise NotApplicable(
            "the network has no convolution whose output could be mapped onto the image",
            "Choose an explainer that works on pixels, such as occlusion, or another architecture.",
        )
    return chosen


def _named_layer(model: keras.Model, name: str) -> keras.Layer:
    layers = {layer.name: layer for layer in leaves(model)}
    if name not in layers:
        raise NotApplicable(f"the network has no layer {name!r}", f"It has {', '.join(layers)}.")
    return layers[name]


def leaves(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers inside a layer or model that have no sublayers, in order of application."""
    # Functional and sequential models know the order of application; other layers give the order
    # of assignment.
    inner = getattr(layer, "layers", None) or list(
        layer._flatten_layers(recursive=False, include_self=False)
    )
    return [leaf for child in inner for leaf in leaves(child)] or [layer]
