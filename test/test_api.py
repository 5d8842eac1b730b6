# SPDX-License-Identifier: Apache-2.0
"""`import caer_ros` as a program meets it."""

import doctest
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

import caer_ros
from caer_ros import api
from caer_ros.demo.material import GROUP, VIDEO
from caer_ros.paths import package_version
from caer_ros.types import SECOND, CaerError

NAMES = {
    "Emotion",
    "EmotionPipeline",
    "FrameReadings",
    "Reading",
    "__version__",
    "read",
    "watch",
}


@pytest.fixture
def folder(material, tmp_path, monkeypatch):
    """Return an empty folder, entered, with the pictures that the examples name."""
    shutil.copy(material / GROUP, tmp_path / "people.jpg")
    shutil.copy(material / VIDEO, tmp_path / "talk.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXAMPLES = [
    test
    for item in (caer_ros, api, api.Emotion, api.Reading, api.EmotionPipeline)
    for test in doctest.DocTestFinder(exclude_empty=True).find(item, globs={})
    if test.examples
]


def test_every_public_name_has_an_example():
    shown = {test.name.removeprefix("caer_ros.api.").split(".")[0] for test in EXAMPLES}
    assert NAMES - {"__version__"} <= shown


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_the_example_gives_what_it_says(example, folder):
    report = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=report.append)
    assert failed.attempted > 0
    assert failed.failed == 0, "".join(report)


def test_the_names_are_listed_and_there():
    assert set(dir(caer_ros)) == NAMES == set(caer_ros.__all__)
    for name in NAMES:
        assert getattr(caer_ros, name) is not None
    assert caer_ros.__version__ == package_version()
    with pytest.raises(AttributeError, match="no attribute 'reed'"):
        caer_ros.reed  # noqa: B018


def test_names_are_loaded_when_they_are_used_and_need_neither_ros_nor_torch():
    script = (
        "import sys, caer_ros; dir(caer_ros);"
        "early = {'numpy', 'cv2', 'openvino'} & set(sys.modules);"
        "caer_ros.read, caer_ros.watch;"
        "late = {'rclpy', 'torch', 'matplotlib', 'caer_ros.msg'} & set(sys.modules);"
        "print(early, late)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "set() set()\n", result.stderr


def test_the_submodules_do_not_hide_the_functions():
    script = (
        "import caer_ros, caer_ros.viewer.source, caer_ros.api, caer_ros.cli;"
        "print(callable(caer_ros.watch), callable(caer_ros.read))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "True True\n", result.stderr


def test_a_program_that_reads_ends_in_peace(folder):
    script = "import caer_ros; print(len(caer_ros.read('people.jpg')))"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (0, "5\n"), result.stderr


def test_everybody_in_a_picture_is_read_at_once_and_each_picture_by_itself(folder):
    first, second = (caer_ros.read("people.jpg") for _ in range(2))
    assert [person.person_id for person in first] == [f"p{i:04}" for i in range(1, 6)]
    assert [person.person_id for person in second] == [person.person_id for person in first]
    assert all(person.detected for person in first)
    assert repr(first).startswith("<p0001 happy ")


def test_an_array_is_a_picture_and_settings_have_their_names(folder):
    image = cv2.imread("people.jpg")
    assert len(caer_ros.read(image)) == 5
    assert len(caer_ros.read(image, {"detector.min_size": 100})) == 2
    assert list(caer_ros.read(np.zeros((48, 64, 3), np.uint8))) == []
    with pytest.raises(CaerError, match="unknown setting 'min_size'"):
        caer_ros.read(image, {"min_size": 100})


def test_a_plot_is_written_in_the_format_of_its_name(folder):
    people = caer_ros.read("people.jpg")
    for name in ("out.png", "out.jpg"):
        drawn = people.plot(name)
        assert cv2.imread(name).shape == drawn.shape
    assert (drawn != people.image).any()
    for name, reason in (("out", "no ending"), ("out.txt", "no ending"), ("no/out.png", "write")):
        with pytest.raises(CaerError, match=reason):
            people.plot(name)


@pytest.mark.parametrize("name", ["none.jpg", "talk.txt"])
def test_what_is_no_picture_is_named(name, folder):
    (folder / "talk.txt").write_text("hello")
    with pytest.raises(CaerError, match=name):
        caer_ros.read(name)


def test_a_program_s_own_images_are_watched(folder):
    image = cv2.imread("people.jpg")
    images = ((SECOND + i * SECOND // 10, image) for i in range(4))
    seen = [(people.stamp, len(people)) for people in caer_ros.watch(images)]
    # a face is a person once it was found for 0.1 s
    assert seen == [(SECOND + i * SECOND // 10, 5 if i else 0) for i in range(4)]


def test_a_source_that_is_not_there_is_named_at_once():
    with pytest.raises(CaerError, match="none.mp4 does not exist"):
        next(caer_ros.watch("none.mp4"))
