"""A classification head with a cell map that localises findings."""

import keras
from keras import layers

_FEATURES = 96
_TOP_CELLS = 3
_PRIOR = -4.0  # initial bias of the cells' logits: few cells lie in a finding
_SHARE = 0.6  # initial weights of the highest cells and of the pooled features in the image's logit


def logit_with_cells(
    fine: keras.KerasTensor,
    coarse: keras.KerasTensor,
    pooled: keras.KerasTensor,
    dropout: float = 0.2,
) -> keras.KerasTensor:
    """Return the image's logit, computed from a cell map and from pooled features.

    The output of the layer `cells`, of shape (N, h, w, 1), is the logit that each cell lies in a
    finding. If the data has boxes, mura-run trains the layer on them (docs/training.md). The
    image's logit is a learned weighted sum of two terms: the mean of its three highest cells, and
    a linear unit on `pooled`.

    Parameters
    ----------
    fine : KerasTensor of shape (N, h, w, channels)
        Features at the map's resolution, such as 1/16 of the image's side.
    coarse : KerasTensor of shape (N, h / 2, w / 2, channels)
        Features with a larger receptive field; h / 2 and w / 2 are rounded up.
    pooled : KerasTensor of shape (N, channels)
        Features of the whole image.
    dropout : float
        Dropout rate of the map's features.

    Returns
    -------
    KerasTensor of shape (N, 1), float32
    """
    height, width = fine.shape[1:3]
    coarse = layers.Conv2D(_FEATURES, 1, name="cells_coarse")(coarse)
    coarse = layers.Resizing(height, width, name="cells_coarse_resized")(coarse)
    fine = layers.Conv2D(_FEATURES, 1, name="cells_fine")(fine)
    features = layers.ReLU(name="cells_relu")(layers.Add(name="cells_sum")([fine, coarse]))
    if dropout:
        features = layers.Dropout(dropout, name="cells_dropout")(features)
    prior = keras.initializers.Constant(_PRIOR)
    cells = layers.Conv2D(1, 1, bias_initializer=prior, dtype="float32", name="cells")(features)
    every = layers.Reshape((height * width,), name="cells_flat")(cells)
    highest, _ = keras.ops.top_k(every, min(_TOP_CELLS, height * width))
    highest = layers.Reshape((-1, 1), name="cells_highest")(highest)
    highest = layers.GlobalAveragePooling1D(name="cells_highest_mean")(highest)
    whole = layers.Dense(1, dtype="float32", name="logit_pooled")(pooled)
    evidence = layers.Concatenate(dtype="float32", name="logit_evidence")([highest, whole])
    share = keras.initializers.Constant(_SHARE)
    return layers.Dense(1, kernel_initializer=share, dtype="float32", name="logit_sum")(evidence)
