"""The contests: pieces of work, each with those who do it, ours first."""

from __future__ import annotations

from dataclasses import dataclass

import heatmap_peers
import pass_peers
import preprocessing_peers
import training_peers
from work import Maker


@dataclass(frozen=True)
class Contest:
    """Contestants that do the same work; the first is ours.

    `by_wall` is True where the clock on the wall is what matters, not the CPU's time. `images` is
    how many of the data's a contest takes that would take too long with all.
    """

    contestants: dict[str, Maker]
    by_wall: bool = False
    images: int | None = None


CONTESTS = (
    {
        "read": Contest(
            {
                "mura": preprocessing_peers.read_by_mura,
                "inflate alone": preprocessing_peers.inflate_alone,
                "kornia-rs": preprocessing_peers.read_by_kornia,
                "imagecodecs (libpng)": preprocessing_peers.read_by_imagecodecs,
                "imagecodecs (spng)": preprocessing_peers.read_by_spng,
                "OpenCV": preprocessing_peers.read_by_opencv,
                "Pillow": preprocessing_peers.read_by_pillow,
                "TensorFlow": preprocessing_peers.read_by_tensorflow,
            }
        ),
        "resize": Contest(
            {
                "mura area": preprocessing_peers.resize_by_mura("area"),
                "mura bilinear": preprocessing_peers.resize_by_mura("bilinear"),
                "mura linear": preprocessing_peers.resize_by_mura("linear"),
                "OpenCV area": preprocessing_peers.resize_by_opencv("area"),
                "OpenCV linear": preprocessing_peers.resize_by_opencv("linear"),
                "Pillow box": preprocessing_peers.resize_by_pillow("area"),
                "Pillow bilinear": preprocessing_peers.resize_by_pillow("bilinear"),
            }
        ),
        "sums": Contest(
            {
                "mura": preprocessing_peers.sums_by_mura,
                "NumPy, integers": preprocessing_peers.over_squares(
                    preprocessing_peers.integer_sums
                ),
                "NumPy, Welford": preprocessing_peers.over_squares(preprocessing_peers.welford),
                "NumPy, all at once": preprocessing_peers.over_squares(
                    preprocessing_peers.numpy_at_once
                ),
            }
        ),
        "whole pass": Contest(
            {
                "mura": pass_peers.pass_by_mura(),
                "inflate alone": preprocessing_peers.inflate_alone,
                "OpenCV linear, integers": pass_peers.pass_by_opencv("INTER_LINEAR"),
                "OpenCV area, integers": pass_peers.pass_by_opencv("INTER_AREA"),
                "kornia-rs, OpenCV linear": pass_peers.pass_by_kornia,
                "imagecodecs, OpenCV linear": pass_peers.pass_by_imagecodecs,
                "Pillow, Welford": pass_peers.pass_by_pillow,
                "tf.data": pass_peers.pass_by_tf_data,
                "Keras Normalization.adapt": pass_peers.pass_by_keras,
                "torchvision": pass_peers.pass_by_torchvision,
                "scikit-learn partial_fit": pass_peers.pass_by_sklearn,
                "NumPy, all at once": pass_peers.pass_by_numpy,
                "2019's lists": pass_peers.pass_as_in_2019,
            }
        ),
        "the pass over all images": Contest(
            {
                "statistics alone": pass_peers.pass_over_all,
                "and the memory map": pass_peers.map_by_mura,
            }
        ),
        "threads": Contest(
            {"1 thread": pass_peers.pass_by_mura(1), "2 threads": pass_peers.pass_by_mura(2)},
            by_wall=True,
        ),
        "memory map": Contest(
            {
                "statistics from the map": preprocessing_peers.statistics_from_map,
                "shuffled batches": preprocessing_peers.shuffled_batches,
            }
        ),
        "feed": Contest(
            {
                "mura": training_peers.feed_by_mura,
                "mura, flipped and shifted": training_peers.augmented_feed_by_mura,
                "tf.data, decoding": training_peers.feed_by_tf_data,
            },
            by_wall=True,
        ),
    }
    | {
        f"training {architecture} by {batch_size}": Contest(
            {
                "mura": training_peers.train_by_mura(architecture, batch_size),
                "Keras, from files": training_peers.train_by_keras(architecture, batch_size),
            }
            | {
                f"PyTorch, from {source}": training_peers.train_by_pytorch(
                    architecture, batch_size, in_memory=source == "memory"
                )
                for source in ("files", "memory")
                if architecture != "efficientnet-lite0"
            },
            by_wall=True,
            images=images,
        )
        for architecture, batch_size, images in (
            ("conv4", 8, 96),
            ("conv4", 32, 96),
            ("resnet18", 8, 16),
            ("efficientnet-lite0", 8, 32),
        )
    }
    | {
        f"Grad-CAM of {architecture}": Contest(
            {
                "mura": heatmap_peers.gradcam_by_mura(architecture),
                "predicting alone": heatmap_peers.predict(architecture),
                "tf-keras-vis": heatmap_peers.gradcam_by_tf_keras_vis(architecture),
            },
            by_wall=True,
            images=64,
        )
        for architecture in ("conv4", "resnet18")
    }
)
