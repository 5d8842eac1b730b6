# SPDX-License-Identifier: Apache-2.0
"""The building blocks of CAER-Net, each in 2D (a frame) and 3D (a clip).

Lee et al., "Context-Aware Emotion Recognition Networks", ICCV 2019, section 3. `dims` is 2 or 3;
feature maps are (N, channels, height, width), or (N, channels, time, height, width).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256, 256)
"""Channels after each convolution of an encoder."""

FEATURES = WIDTHS[-1]
HIDDEN = 128
"""Width of the hidden layer in the attention, the fusion and the classifier."""

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class Normalize(nn.Module):
    """Turn uint8 BGR pictures into what the encoders expect.

    Takes (N, height, width, 3) or (N, time, height, width, 3), returns (N, 3, [time,] height,
    width) in the floating type of the module. The result keeps the memory of the input, which
    is torch's channels-last layout.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        # not persistent: the checkpoint's metadata hold mean and std
        self.register_buffer("mean", 255 * torch.tensor(mean), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        scaled = (pictures.to(self.mean.dtype) - self.mean) / self.std
        return scaled.movedim(-1, 1)


class Encoder(nn.Sequential):
    """Five 3x3 convolutions with batch normalisation, max pooling after the first four.

    In 3D the first pooling leaves the time axis alone, the others halve it.
    """

    def __init__(self, dims: int) -> None:
        layers: list[nn.Module] = []
        channels = 3
        for index, width in enumerate(WIDTHS):
            layers += [
                _CONV[dims](channels, width, 3, padding=1),
                _NORM[dims](width),
                nn.ReLU(inplace=True),
            ]
            if index < len(WIDTHS) - 1:
                layers.append(_POOL[dims]((1, 2, 2) if dims == 3 and index == 0 else 2))
            channels = width
        super().__init__(*layers)


class Projection(nn.Sequential):
    """Bring the feature map of another encoder, (N, inputs, height, width), to 256 channels."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, FEATURES, 1, bias=False), nn.BatchNorm2d(FEATURES), nn.ReLU()
        )


class SpatialAttention(nn.Module):
    """Score every cell of the context features from the context alone (paper, section 3.2).

    The second convolution is normalised but not rectified: a ReLU would tie all cells that
    score below the mean and stop their gradient.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            _CONV[dims](FEATURES, HIDDEN, 3, padding=1),
            _NORM[dims](HIDDEN),
            nn.ReLU(inplace=True),
            _CONV[dims](HIDDEN, 1, 3, padding=1),
            _NORM[dims](1),
        )

    def forward(self, context: Tensor, face: Tensor | None) -> Tensor:
        """Return logits (N, 1, [time,] height, width); `face` is not looked at."""
        return self.score(context)


class FaceConditionedAttention(nn.Module):
    """Score every cell of the context features knowing the face (GLAMOR-Net, Le et al. 2022).

    The perceptron over the concatenation of face vector and cell, its first layer written as
    the sum of two so that the face's part is computed once for all cells.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.cell = _CONV[dims](FEATURES, HIDDEN, 1)
        self.face = nn.Linear(FEATURES, HIDDEN, bias=False)
        self.score = _CONV[dims](HIDDEN, 1, 1)

    def forward(self, context: Tensor, face: Tensor) -> Tensor:
        """Return logits (N, 1, [time,] height, width) from `context` and the vectors (N, 256)."""
        hidden = self.cell(context) + _unsqueeze_like(self.face(face), context)
        return self.score(hidden.relu())


class AdaptiveFusion(nn.Module):
    """Weigh the two streams by a softmax over their scores (paper, section 3.2)."""

    def __init__(self) -> None:
        super().__init__()
        self.face = _perceptron(FEATURES, 1)
        self.context = _perceptron(FEATURES, 1)

    def forward(self, face: Tensor, context: Tensor) -> Tensor:
        """Return the weights (N, 2) of vectors `face` and `context`, summing to 1."""
        scores = torch.cat([self.face(face), self.context(context)], dim=1)
        return scores.float().softmax(dim=1).to(scores.dtype)


class Classifier(nn.Sequential):
    """Two layers with dropout between, from the fused vector to logits."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, classes),
        )


def spatial_softmax(logits: Tensor) -> Tensor:
    """Return the softmax over height and width, for each step of time, in float32."""
    return logits.float().flatten(-2).softmax(dim=-1).unflatten(-1, logits.shape[-2:])


def average_pool(features: Tensor) -> Tensor:
    """Return the mean over space and time, (N, channels)."""
    return features.flatten(2).mean(dim=2)


def attention_pool(features: Tensor, attention: Tensor) -> Tensor:
    """Return the attention-weighted sum over space, averaged over time, (N, channels).

    The sum, because the mean of features weighted by a softmax would be smaller than the face
    vector by the number of cells.
    """
    weighted = (features * attention.to(features.dtype)).flatten(-2).sum(dim=-1)
    return weighted if weighted.dim() == 2 else weighted.mean(dim=2)


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, outputs)
    )


def _unsqueeze_like(vectors: Tensor, features: Tensor) -> Tensor:
    return vectors.reshape(*vectors.shape, *[1] * (features.dim() - 2))
