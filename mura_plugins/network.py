"""What an explainer sees of a trained network."""

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
    """A trained model from images (N, H, W) to logits, and the layer that methods look at.

    Parameters
    ----------
    model : keras.Model
        Sequential, functional, nested or subclassed, from (N, H, W, 1) to logits (N, 1).
    layer : str, optional
        The layer whose output is looked at. By default, in networks that end in global average
        pooling and one unit, what is pooled; in others the last convolution's output, after the
        normalisations, activations and joins that directly follow it, before any pooling.

    Raises
    ------
    NotApplicable
        The model has no layer of this name; or no convolution, and a method looks at one.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        self.model = model
        self._named = _named_layer(model, layer) if layer else None
        self._read: str | None = None  # the layer whose output was asked for by name
        self._others: dict[str, Network] = {}  # by the layer, so that each is traced once

    @cached_property
    def _layer(self) -> keras.Layer:
        if self._named is not None:
            return self._named
        head = _pooling_head(self.model)
        return head[0] if head else _last_convolution(self.model)

    @property
    def layer(self) -> str:
        """The name of the layer that is looked at."""
        return self._layer.name

    @property
    def looked_at(self) -> str | None:
        """The name of the layer that a method has looked at, None if at pixels alone."""
        return self.layer if "_layer" in vars(self) else self._read

    def forget_what_was_looked_at(self) -> None:
        """Make `looked_at` tell of the next method alone; what was traced stays."""
        vars(self).pop("_layer", None)
        self._read = None

    @cached_property
    def layer_names(self) -> frozenset[str]:
        """The names of the layers that hold no others."""
        return frozenset(layer.name for layer in leaves(self.model))

    def output_of(self, name: str, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return what the layer of a name gives for images (N, H, W), some at a time, float32."""
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
        """What the mean of each feature at `layer` is multiplied by to give the logit, (channels,).

        None where the network doesn't end in global average pooling of this layer and one unit.
        """
        head = _pooling_head(self.model)
        if head is None or head[0] is not self._layer:
            return None
        return np.asarray(head[1].get_weights()[0][:, 0])

    @cached_property
    def baseline(self) -> NDArray[np.float32]:
        """The image that shows nothing, (H, W): the mean training image, or else black."""
        import keras

        shape = self.model.input_shape[1:3]
        for layer in leaves(self.model):
            if isinstance(layer, keras.layers.Normalization):
                mean = np.asarray(layer.mean, np.float32)
                return np.array(np.broadcast_to(mean, (1, *shape, 1))[0, :, :, 0])
        return np.zeros(shape, np.float32)

    def logits(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the logits (N,), float32, of images (N, H, W), some at a time."""
        batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        return self._logits_of(batches)

    def logits_through(
        self, image: NDArray[np.generic], masks: Iterable[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Return the logits of one image seen through masks, whatever their number.

        Parameters
        ----------
        image : ndarray of shape (H, W)
        masks : iterable of ndarray of shape (H, W)
            Where 1 the image is seen, where 0 the `baseline`.

        Returns
        -------
        ndarray of shape (masks,), float32
        """
        difference = image.astype(np.float32) - self.baseline
        seen = (self.baseline + mask * difference for mask in masks)
        return self._logits_of(np.stack(batch) for batch in _in_batches(seen))

    def pixel_gradients(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Return the logits' gradients with respect to the pixels, a few images at a time.

        Parameters
        ----------
        images : ndarray of shape (N, H, W)

        Returns
        -------
        ndarray of shape (N, H, W), float32, in logits a grey level
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
        """Return the layer's output (N, h, w, channels) and the logits (N,), as tensors.

        Of a layer that the network applies several times it is the last output. Inside a
        `tf.GradientTape` that watches `images`, the logits' gradient with respect to the features
        can be taken.

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
        _ = self._layer  # what is not applicable is said here, not from within a graph
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


_BATCH = 32
_BACKWARD = 8  # backwards through the whole network, which keeps what every layer gives


def _in_batches(images: Iterable[NDArray[np.float32]]) -> Iterator[list[NDArray[np.float32]]]:
    waiting = iter(images)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _pooling_head(model: keras.Model) -> tuple[keras.Layer, keras.Layer] | None:
    """Return what is pooled and the unit, of a network that ends in pooling and one unit."""
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
            "Choose an explainer that works on the image itself, or another architecture.",
        )
    return chosen


def _named_layer(model: keras.Model, name: str) -> keras.Layer:
    layers = {layer.name: layer for layer in leaves(model)}
    if name not in layers:
        raise NotApplicable(f"the network has no layer {name!r}", f"It has {', '.join(layers)}.")
    return layers[name]


def leaves(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers that hold no others, in the order in which the network applies them."""
    # A functional or sequential model knows its order; other layers list theirs as assigned.
    inner = getattr(layer, "layers", None) or list(
        layer._flatten_layers(recursive=False, include_self=False)
    )
    return [leaf for child in inner for leaf in leaves(child)] or [layer]
