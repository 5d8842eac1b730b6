# SPDX-License-Identifier: Apache-2.0
"""A checkpoint's metadata are read without torch, and refused where they do not fit."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from caer_ros.network.spec import CLASSES, NetworkSpec, WeightsError, read_spec


def write(path, spec=None, **changes):
    metadata = {**(spec or NetworkSpec()).to_metadata(), **changes}
    save_file({"w": np.zeros(3, np.float32)}, path, metadata)
    return path


def test_a_spec_survives_the_file(tmp_path):
    spec = NetworkSpec(
        architecture="caer_net",
        clip_length=16,
        streams="face",
        temperature=1.5,
        film_temperature=2.5,
        trained=("face",),
        provenance={"data": "FER+", "seed": "7"},
    )
    assert read_spec(write(tmp_path / "w.safetensors", spec)) == spec


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="gone.safetensors does not exist"):
        read_spec(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("length", [0, 4, 100])
def test_a_truncated_file_is_refused(tmp_path, length):
    path = write(tmp_path / "w.safetensors")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        read_spec(path)


def test_a_file_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"w": np.zeros(3, np.float32)}, path)
    with pytest.raises(WeightsError, match="no CAER-Net metadata"):
        read_spec(path)


def test_another_class_order_is_refused(tmp_path):
    path = write(tmp_path / "w.safetensors", classes=json.dumps(sorted(CLASSES, reverse=True)))
    with pytest.raises(WeightsError, match="class order"):
        read_spec(path)


def test_another_architecture_is_refused_by_the_file_s_name(tmp_path):
    path = write(tmp_path / "w.safetensors", architecture=json.dumps("resnet50"))
    with pytest.raises(WeightsError, match=r"w\.safetensors is of no .* 'resnet50', expected one"):
        read_spec(path)


def test_a_format_of_the_future_is_refused(tmp_path):
    path = write(tmp_path / "w.safetensors", format="99")
    with pytest.raises(WeightsError, match="has format 99"):
        read_spec(path)


@pytest.mark.parametrize(
    "wrong", [{"architecture": "resnet"}, {"fusion": "sum"}, {"clip_length": 16}]
)
def test_a_spec_that_cannot_be_is_refused(wrong):
    with pytest.raises(WeightsError):
        NetworkSpec(**wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature", 0.0, "temperature is 0.0, expected 0.01 to 100"),
        ("temperature", "warm", "temperature is 'warm', expected 0.01 to 100"),
        ("film_temperature", -1.0, "film_temperature is -1.0, expected 0.01 to 100"),
        ("mirrored", "yes", "mirrored is 'yes', expected true or false"),
        ("mean", 5, "another type than expected"),
        ("mean", [0.5, 0.5], r"mean is \(0.5, 0.5\), expected three numbers"),
        ("std", [0.2, 0.0, 0.2], "std is .*, expected three numbers above 0"),
        ("std", [0.2, None, 0.2], "std is .*, expected three numbers"),
        ("face_size", 0, "face_size is 0, expected 16 to 4096"),
        ("face_size", 64.5, "face_size is 64.5, expected 16 to 4096"),
        ("clip_length", "long", "clip_length is 'long', expected 1 to 4096"),
        ("context_encoder", "vgg", "context_encoder is 'vgg', expected one of"),
    ],
)
def test_metadata_that_would_give_wrong_answers_are_refused(tmp_path, name, value, message):
    path = write(tmp_path / "w.safetensors", **{name: json.dumps(value)})
    with pytest.raises(WeightsError, match=message):
        read_spec(path)


def test_a_file_from_before_film_temperatures_and_mirrors_has_none(tmp_path):
    path = tmp_path / "w.safetensors"
    metadata = NetworkSpec(temperature=1.5).to_metadata()
    del metadata["film_temperature"], metadata["mirrored"]
    save_file({"w": np.zeros(3, np.float32)}, path, metadata)
    assert read_spec(path) == NetworkSpec(temperature=1.5, film_temperature=None, mirrored=False)
