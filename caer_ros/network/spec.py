# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says of itself, readable without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

from caer_ros.paths import share_folder
from caer_ros.types import CaerError, Emotion

FORMAT = "2"
"""Version of the metadata layout; raised when an older reader would misread a file."""

ENCODERS = ("caer", "efficientnet_lite0")
"""Scene encoders."""

SCENE_WIDTH, SCENE_HEIGHT, SCENE_CROP = 171, 128, 112
"""The frame is resized to 171x128 and its centre 112x112 is read (Lee et al., section 4.1)."""

YOUNGER = ("mirrored", "film_temperature")
"""What a file may lack, for it was added after the format."""

CLASSES = tuple(emotion.name.capitalize() for emotion in Emotion)


class WeightsError(CaerError):
    """A weights file that is missing, broken or does not fit."""


@dataclass(frozen=True)
class NetworkSpec:
    """Architecture, inputs and provenance of one CAER-Net checkpoint.

    architecture: `caer_net_s` (2D, one frame) or `caer_net` (3D, a clip); Lee et al., section 3.
    streams: `both`, `face` or `context`; without a context stream its weight is reported as 0.
    context_encoder: `caer` (paper: five convolutions) or `efficientnet_lite0`, which starts from
        ImageNet; a clip's scene is then read from its newest frame.
    context_view: what of the frame the scene is: `centre` (paper) or `whole`.
    context_attention: `none` (plain average pooling), `spatial` (paper, section 3.2) or
        `face_conditioned` (GLAMOR-Net, Le et al. 2022).
    fusion: `adaptive` (paper, section 3.2) or `concatenate` (weights reported as 0.5 and 0.5).
    face_size: edge of the face crop; context_size: edge of the context crop, both in pixels.
    clip_length: frames a clip has, 1 for `caer_net_s`.
    mirrored: the face is read as it is and mirrored, and the mean of both counts; not in training.
    mean, std: per channel in BGR order, of values scaled to [0, 1]; applied inside the network.
    temperature: logits are divided by it (fitted on validation data); film_temperature: what film
        frames ask for instead, None where nobody fitted it (`caer calibrate`).
    trained: which streams were trained; empty for a random initialisation.
    provenance: data, split, seed, metrics, licence note, package version, free text each.
    """

    architecture: str = "caer_net_s"
    streams: str = "both"
    context_encoder: str = "caer"
    context_view: str = "centre"
    context_attention: str = "spatial"
    fusion: str = "adaptive"
    face_size: int = 96
    context_size: int = 112
    clip_length: int = 1
    mirrored: bool = False
    mean: tuple[float, float, float] = (0.406, 0.456, 0.485)
    std: tuple[float, float, float] = (0.225, 0.224, 0.229)
    temperature: float = 1.0
    film_temperature: float | None = None
    trained: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def has_face(self) -> bool:
        return self.streams in ("both", "face")

    @property
    def has_context(self) -> bool:
        return self.streams in ("both", "context")

    @property
    def is_video(self) -> bool:
        return self.architecture == "caer_net"

    @property
    def scene_size(self) -> tuple[int, int]:
        """Width and height that a frame is resized to before the scene is cut out of it."""
        if self.context_view == "whole":
            return self.context_size, self.context_size
        width = round(SCENE_WIDTH * self.context_size / SCENE_CROP)
        return width, round(SCENE_HEIGHT * self.context_size / SCENE_CROP)

    @property
    def scene_part(self) -> tuple[float, float]:
        """Width and height of the part of the frame that the scene is, in its middle."""
        width, height = self.scene_size
        return self.context_size / width, self.context_size / height

    def __post_init__(self) -> None:
        allowed = {
            "architecture": ("caer_net_s", "caer_net"),
            "streams": ("both", "face", "context"),
            "context_encoder": ENCODERS,
            "context_view": ("centre", "whole"),
            "context_attention": ("none", "spatial", "face_conditioned"),
            "fusion": ("adaptive", "concatenate"),
        }
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                raise WeightsError(f"{name} is {getattr(self, name)!r}, expected one of {choices}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(isinstance(v, float) and isfinite(v) for v in values):
                raise WeightsError(f"{name} is {values!r}, expected three numbers, as 0.5")
        if min(self.std) <= 0:
            raise WeightsError(f"std is {self.std!r}, expected three numbers above 0")
        for name in ("temperature", "film_temperature"):
            value = getattr(self, name)
            if value is None and name == "film_temperature":
                continue
            if not (isinstance(value, float) and 0.01 <= value <= 100):
                raise WeightsError(f"{name} is {value!r}, expected 0.01 to 100")
        for name, least in (("face_size", 16), ("context_size", 16), ("clip_length", 1)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 4096:
                raise WeightsError(f"{name} is {value!r}, expected {least} to 4096")
        if not set(self.trained) <= {"face", "context"}:
            raise WeightsError(f"trained is {self.trained!r}, expected names of streams")
        told = self.provenance
        if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
            raise WeightsError(f"provenance is {told!r}, expected a text for each name")
        if type(self.mirrored) is not bool:
            raise WeightsError(f"mirrored is {self.mirrored!r}, expected true or false")
        if self.is_video == (self.clip_length == 1):
            raise WeightsError(
                f"clip_length is {self.clip_length}, which {self.architecture} cannot be"
            )
        if self.streams == "context" and self.context_attention == "face_conditioned":
            raise WeightsError(
                "face_conditioned attention needs a face stream, streams is 'context'"
            )

    def to_metadata(self) -> dict[str, str]:
        """Return the spec as safetensors metadata (strings only)."""
        return {
            "format": FORMAT,
            "classes": json.dumps(CLASSES),
            **{name: json.dumps(value) for name, value in asdict(self).items()},
        }


def from_metadata(metadata: dict[str, str] | None, path: Path) -> NetworkSpec:
    """Return the spec that the metadata of `path` describe.

    Raises:
        WeightsError: where the file is not a CAER-Net checkpoint of this format and class order.
    """
    if not metadata or "format" not in metadata:
        raise WeightsError(f"{path} has no CAER-Net metadata; make it with `caer train`")
    if metadata["format"] != FORMAT:
        raise WeightsError(f"{path} has format {metadata['format']}, this version reads {FORMAT}")
    try:
        classes = tuple(json.loads(metadata["classes"]))
        values: dict[str, Any] = {
            f.name: json.loads(metadata[f.name])
            for f in fields(NetworkSpec)
            if f.name in metadata or f.name not in YOUNGER
        }
    # what is nested too deep is a RecursionError
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path} has incomplete metadata ({error}); convert it anew") from error
    if classes != CLASSES:
        raise WeightsError(f"{path} has class order {classes}, expected {CLASSES}")
    try:
        for name in ("mean", "std", "trained"):
            values[name] = tuple(values[name])
        return NetworkSpec(**values)
    except TypeError as error:
        raise WeightsError(
            f"{path} has metadata of another type than expected: {error}"
        ) from error
    except WeightsError as error:
        raise WeightsError(f"{path} is of no network known here: {error}") from error


def read_spec(path: Path) -> NetworkSpec:
    """Read the spec of a safetensors checkpoint; only its header is read.

    Raises:
        WeightsError: where the file is missing, truncated or not ours.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error
    return from_metadata(metadata, path)


def resolve_weights(name_or_path: str) -> Path:
    """Return the checkpoint that a name such as `caer_net_s`, or a path, stands for.

    Raises:
        WeightsError: naming the networks that come with the package.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    models = share_folder() / "models"
    if (models / f"{name_or_path}.safetensors").is_file():
        return models / f"{name_or_path}.safetensors"
    known = ", ".join(sorted(found.stem for found in models.glob("*.safetensors")))
    raise WeightsError(
        f"weights {name_or_path!r} are neither a file nor a network of the package ({known})"
    )


def export_name(weights: Path) -> str:
    """Return the graph name of an ONNX export of this checkpoint: `<stem>-<sha256[:16]>`."""
    return f"{weights.stem}-{hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}"


def is_export_of(model: Path, weights: Path) -> bool:
    """Tell whether ONNX file `model` was exported from checkpoint `weights` as it is now.

    Looks for the graph's name in the file itself: OpenVINO 2026 drops it when it reads a model.
    """
    return export_name(weights).encode() in model.read_bytes()
