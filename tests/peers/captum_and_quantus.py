"""Write what captum and Quantus say of the cases, to hold our functions against (`test_peers.py`).

    python tests/peers/captum_and_quantus.py

By hand, where mura-run, captum 0.9.0, quantus 0.6.0 and torch 2.13.0 are installed (Python 3.11,
NumPy 2.4.6, SciPy 1.17.1). Again where a case changes, or what our measures draw from a seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import quantus
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from captum.metrics import infidelity, sensitivity_max
from quantus.functions.perturb_func import noisy_linear_imputation

sys.path.insert(0, str(Path(__file__).parents[1]))

from peer_cases import BIAS, HEATS, HOLES, IMAGES, KERNEL, REGIONS, SEED, SIDE, UNIT

from mura_core.heatmaps.measures.faithfulness import probe
from mura_core.heatmaps.measures.sanity_checks import greatest_change

FIXTURE = Path(__file__).with_suffix(".json")


class Peer(torch.nn.Module):
    """The cases' network in float64, from images (N, 1, H, W) to the logit z as [-z, z]."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 3, 3, padding="same")
        self.activation = torch.nn.Tanh()
        self.unit = torch.nn.Linear(UNIT.size, 1, bias=False)
        self.double()
        by_channel = UNIT.reshape(SIDE, SIDE, 3).transpose(2, 0, 1)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor(KERNEL.transpose(3, 2, 0, 1)))
            self.convolution.bias.copy_(torch.tensor(BIAS))
            self.unit.weight.copy_(torch.tensor(by_channel.reshape(1, -1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # Quantus hands over float32.
        features = self.activation(self.convolution(images.double()))
        logit = self.unit(features.flatten(1))
        return torch.cat([-logit, logit], dim=1)


class Recorder:
    """Stands in for a `Network`, and keeps what it is shown."""

    baseline = np.zeros((SIDE, SIDE), np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.zeros(len(images))

    def logits_through(self, image: np.ndarray, masks: Iterable[np.ndarray]) -> np.ndarray:
        self.masks = np.stack(list(masks))
        return np.zeros(len(self.masks))


def main() -> None:
    model = Peer().eval()
    images = torch.tensor(IMAGES[:, None], dtype=torch.float64)
    explained = maps(model, images[:2])
    results = {
        "versions": {name: version(name) for name in ("captum", "quantus", "torch")},
        "logits": model(images)[:, 1],
        **explained,
        "infidelity": infidelities(model, HEATS),
        "infidelity_of_integrated_gradients": infidelities(
            model, explained["integrated_gradients"][1].detach().numpy()
        ),
        "greatest_change": greatest_changes(model, images),
        "deletion": pixel_flipping(model, HEATS),
        # To show the hottest is to hide the coldest: the curve comes from its other end.
        "insertion": pixel_flipping(model, -HEATS),
        "filled": {name: filled(hidden) for name, hidden in HOLES.items()},
        **localisation(),
    }
    FIXTURE.write_text(json.dumps(plain(results)) + "\n")


def maps(model: Peer, images: torch.Tensor) -> dict[str, dict[int, torch.Tensor]]:
    gradcam = LayerGradCam(model, model.activation)
    integrated = IntegratedGradients(model)
    targets = {1: 1, -1: 0}
    return {
        "gradcam": {
            toward: gradcam.attribute(images, target, relu_attributions=True)[:, 0]
            for toward, target in targets.items()
        },
        "integrated_gradients": {
            toward: integrated.attribute(
                images, target=target, n_steps=32, method="riemann_middle"
            )[:, 0]
            for toward, target in targets.items()
        },
    }


def infidelities(model: Peer, heats: np.ndarray) -> list[torch.Tensor]:
    """Return captum's infidelity of the first images' maps, for our own squares.

    As a share of the mean square of the logit's falls, as ours is.
    """
    found = []
    for image, heat in zip(IMAGES, heats, strict=False):
        recorder = Recorder()
        probe(recorder, image, SEED)
        masks = torch.tensor(recorder.masks[:, None], dtype=torch.float64)
        original = torch.tensor(image[None, None], dtype=torch.float64)
        error = infidelity(
            model,
            lambda repeated, masks=masks: (1 - masks, repeated * masks),
            original,
            torch.tensor(heat[None, None], dtype=torch.float64),
            target=1,
            n_perturb_samples=len(masks),
            normalize=True,
        )
        falls = model(original)[:, 1] - model(original * masks)[:, 1]
        found.append(error[0] / falls.square().mean())
    return found


def greatest_changes(model: Peer, images: torch.Tensor) -> torch.Tensor:
    """Return captum's max-sensitivity of integrated gradients, for our own noise."""
    noisy: list[np.ndarray] = []

    def record(some: np.ndarray) -> np.ndarray:
        noisy.append(some)
        return np.zeros((len(some), 1, 1), np.float32)

    greatest_change(record, IMAGES, record(IMAGES), SEED)
    shown = np.stack(noisy[1:], axis=1)  # (N, draws, H, W), as captum repeats images
    return sensitivity_max(
        IntegratedGradients(model).attribute,
        images,
        lambda repeated: torch.tensor(shown.reshape(repeated.shape), dtype=torch.float64),
        n_perturb_samples=len(noisy) - 1,
        target=1,
        n_steps=32,
        method="riemann_middle",
    )


def pixel_flipping(model: Peer, heats: np.ndarray) -> list[list[float]]:
    """Return the logits after each 5 % of the pixels, the last of an image that is black."""
    # Its 'black' is the image's least level, so 0 is named. Its area under the curve leaves out
    # the untouched image, and needs `np.trapz`, which NumPy 2.4 hasn't: the curve is kept.
    metric = quantus.PixelFlipping(
        features_in_step=SIDE * SIDE // 20,
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    return metric(
        model=model,
        x_batch=IMAGES[:, None].astype(np.float32),
        y_batch=np.ones(len(IMAGES), int),
        a_batch=heats[:, None],
        softmax=False,
        device="cpu",
    )


def filled(hidden: np.ndarray) -> np.ndarray:
    """Return what ROAD puts in hidden pixels.

    Its figure in Quantus is whether the class stays the same, which ours, in logits, isn't.
    """
    indices = np.flatnonzero(hidden)
    image = noisy_linear_imputation(IMAGES[:1].astype(float), indices, noise=0)
    return image.ravel()[indices]


def localisation() -> dict[str, dict[str, object]]:
    # RelevanceMassAccuracy divides by the sum of all the heat, not of the positive as its
    # documentation says: what is negative is left out beforehand.
    metrics = {
        "pointing": (quantus.PointingGame, HEATS),
        "heat_share": (quantus.RelevanceMassAccuracy, HEATS.clip(0)),
    }
    return {
        name: {
            region: metric(normalise=False, disable_warnings=True)(
                model=None,
                x_batch=IMAGES[:, None].astype(np.float32),
                y_batch=np.ones(len(IMAGES), int),
                a_batch=heats[:, None],
                s_batch=np.repeat(mask[None, None], len(IMAGES), axis=0),
            )
            for region, mask in REGIONS.items()
        }
        for name, (metric, heats) in metrics.items()
    }


def plain(value: object) -> object:
    """Return what JSON can hold, numbers with 9 digits, which tell any two float32 apart."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list):
        return [plain(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
