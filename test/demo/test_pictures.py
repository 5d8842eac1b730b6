# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures show what was read."""

import cv2
import numpy as np
import pytest

from caer_ros.demo.pictures import PERSONS, draw_timeline, write_video
from caer_ros.drawing import COLOURS
from caer_ros.replay.make_bag import make_bag
from caer_ros.types import SECOND, Emotion, Face, Reading

RATE = 10


def read(person, emotion, share=0.94):
    probabilities = np.full(7, (1 - share) / 6)
    probabilities[emotion] = share
    return Reading(
        person, Face(20, 10, 60, 60), emotion, share, tuple(probabilities), 1.0, 0.0, 1, 0, 0
    )


def render(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def share_of(picture, emotion):
    """Return the share of the picture's pixels in an emotion's colour."""
    return np.mean(np.all(picture == COLOURS[emotion][::-1], axis=-1))


def test_the_picture_shows_each_emotion_for_as_long_as_it_was_read():
    timeline = {
        SECOND + i * SECOND // RATE: [read("p0001", Emotion.SAD if i < 30 else Emotion.HAPPY)]
        for i in range(40)
    }
    picture = render(draw_timeline(timeline, "title"))
    sad, happy = share_of(picture, Emotion.SAD), share_of(picture, Emotion.HAPPY)
    assert happy > 0.1
    assert 2 < sad / happy < 4


def test_a_time_without_the_person_stays_blank():
    def picture(absent):
        return render(
            draw_timeline(
                {
                    i * SECOND // RATE: [] if i in absent else [read("p0001", Emotion.SAD)]
                    for i in range(100)
                },
                "title",
            )
        )

    seen, gone = picture(()), picture(range(20, 70))
    assert share_of(gone, Emotion.SAD) == pytest.approx(share_of(seen, Emotion.SAD) / 2, rel=0.15)


def test_every_label_is_named_where_its_name_has_room():
    emotions = [Emotion.NEUTRAL] * 12 + [Emotion.SURPRISE] * 2 + [Emotion.SAD] * 86
    timeline = {i * SECOND // RATE: [read("p0001", e)] for i, e in enumerate(emotions)}
    figure = draw_timeline(timeline, "title")
    assert [text.get_text() for text in figure.axes[1].texts] == ["neutral", "sad"]


def test_only_the_persons_seen_longest_get_a_row():
    timeline = {
        i * SECOND // RATE: [read(f"p{k:04}", Emotion.FEAR) for k in range(i // 5 + 1)]
        for i in range(50)
    }
    figure = draw_timeline(timeline, "title")
    rows = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert rows == [f"p{k:04}" for k in range(PERSONS)]


def test_nobody_at_all_still_makes_a_picture():
    picture = render(draw_timeline({0: [], SECOND: []}, "nobody"))
    assert picture.shape[1] == 1500


def test_the_video_has_each_image_with_the_readings_of_its_stamp(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(12):
        cv2.imwrite(str(tmp_path / "images" / f"{i:02}.png"), np.full((120, 160, 3), 80, np.uint8))
    make_bag(tmp_path / "images", tmp_path / "bag", topic="/camera", fps=RATE)
    stamps = [SECOND + i * SECOND // RATE for i in range(12)]
    timeline = {stamp: [read("p0001", Emotion.HAPPY)] for stamp in stamps[6:]}
    write_video(tmp_path / "bag", "/camera", timeline, tmp_path / "annotated.mp4")

    video = cv2.VideoCapture(str(tmp_path / "annotated.mp4"))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(RATE)
    frames = [video.read()[1] for _ in range(12)]
    assert not video.read()[0]
    assert frames[0].shape == (120, 160, 3)
    spread = [float(frame.std()) for frame in frames]
    assert max(spread[:6]) < 3  # nothing but compression noise
    assert min(spread[6:]) > 10
