# SPDX-License-Identifier: Apache-2.0
"""What is left to look at shows what was read."""

import cv2
import numpy as np
import pytest

from caer_ros.drawing import COLOURS
from caer_ros.types import SECOND, CaerError, Emotion, Face, FrameResult, Reading
from caer_ros.viewer.pictures import (
    FRAMES,
    LONGEST,
    PERSONS,
    AnnotatedVideo,
    History,
    draw_timeline,
)

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


def test_time_counts_from_the_first_image_as_in_the_report():
    begin = 1_795_000_000 * SECOND + 5
    timeline = {begin + i * SECOND: [read("p0001", Emotion.SAD)] for i in range(10)}
    axes = draw_timeline(timeline, "title").axes[-1]
    assert axes.get_xlim() == (0, 9)
    assert axes.get_xlabel().endswith("first image, stamp 1795000000.000000005 in timeline.csv")


def test_nobody_at_all_still_makes_a_picture():
    picture = render(draw_timeline({0: [], SECOND: []}, "nobody"))
    assert picture.shape[1] == 1500


def write(path, stamps, fps=30.0, shape=(120, 160, 3), seen=lambda i: True):
    with AnnotatedVideo(path, fps) as video:
        for i, stamp in enumerate(stamps):
            readings = [read("p0001", Emotion.HAPPY)] if seen(i) else []
            video.write(np.full(shape, 80, np.uint8), readings, stamp)


def frames_of(path):
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = video.read()
        if not there:
            return frames, video.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


@pytest.mark.parametrize("count", [5, 40])
def test_the_video_has_each_image_with_the_readings_of_its_stamp(tmp_path, count):
    stamps = [SECOND + i * SECOND // RATE for i in range(count)]
    write(tmp_path / "annotated.webm", stamps, seen=lambda i: i >= count // 2)

    frames, rate = frames_of(tmp_path / "annotated.webm")
    assert rate == pytest.approx(RATE)
    assert len(frames) == count
    assert frames[0].shape == (120, 160, 3)
    spread = [float(frame.std()) for frame in frames]
    assert max(spread[: count // 2]) < 3  # nothing but compression noise
    assert min(spread[count // 2 :]) > 10


def test_what_comes_faster_than_the_video_is_left_out(tmp_path):
    write(tmp_path / "fast.webm", [i * SECOND // 100 for i in range(100)], fps=10)
    frames, rate = frames_of(tmp_path / "fast.webm")
    assert (len(frames), rate) == (pytest.approx(10, abs=1), pytest.approx(10))


def test_writing_says_nothing(tmp_path, capfd):
    write(tmp_path / "quiet.webm", [0, SECOND])
    assert capfd.readouterr() == ("", "")


def test_the_last_image_stands_while_none_comes_but_no_longer_than_a_second(tmp_path):
    seconds = [i / 10 for i in range(20)]
    for pause, count in ((0.5, 25), (3600, 30), (-3600, 20)):
        stamps = [round(SECOND * (10_000 + t + pause * (i >= 15))) for i, t in enumerate(seconds)]
        write(tmp_path / "pause.webm", stamps)
        assert len(frames_of(tmp_path / "pause.webm")[0]) == pytest.approx(count, abs=1)


def test_a_large_or_changing_image_is_shrunk_to_the_video(tmp_path):
    with AnnotatedVideo(tmp_path / "large.webm") as video:
        for i in range(14):
            shape = (1081, 1920, 3) if i < 13 else (480, 640, 3)
            video.write(np.full(shape, 80, np.uint8), (), i * SECOND // RATE)
    frames, _ = frames_of(tmp_path / "large.webm")
    assert [frame.shape for frame in frames] == [(540, LONGEST, 3)] * 14


def test_a_video_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(CaerError, match="no/annotated.webm"):
        write(tmp_path / "no" / "annotated.webm", range(0, 20 * SECOND, SECOND))


def test_no_image_is_no_video(tmp_path):
    write(tmp_path / "none.webm", [])
    assert not list(tmp_path.iterdir())


def test_a_history_s_size_is_bound_and_its_picture_whole():
    history = History()
    for i in range(4 * FRAMES):
        person = read("p0001", Emotion.SAD if i < 2 * FRAMES else Emotion.HAPPY)
        history.add(FrameResult("camera", i * SECOND // 2, 640, 480, (person,)))
    assert FRAMES / 3 < len(history.timeline) <= FRAMES
    picture = render(draw_timeline(history.timeline, "title"))
    sad, happy = share_of(picture, Emotion.SAD), share_of(picture, Emotion.HAPPY)
    assert sad == pytest.approx(happy, rel=0.1)
    assert sad > 0.1


def test_a_history_of_two_cameras_has_both():
    history = History()
    for i in range(FRAMES + 10):
        for camera in ("left", "right"):
            history.add(
                FrameResult(camera, i * SECOND // 10, 640, 480, (read(camera, Emotion.SAD),))
            )
    shown = [{r.person_id for r in readings} for readings in history.timeline.values()]
    assert all(persons == {"left", "right"} for persons in shown[:-1])


def test_a_browser_plays_the_video(tmp_path, browser):
    write(tmp_path / "annotated.webm", [i * SECOND // RATE for i in range(30)])
    (tmp_path / "page.html").write_text("<video muted src=annotated.webm></video>")
    browser.open((tmp_path / "page.html").as_uri())
    browser.wait("document.querySelector('video')?.readyState >= 2")
    played = "document.querySelector('video').play().then(() => true)"
    assert browser.run(played)
    browser.wait("document.querySelector('video').currentTime > 1")
    assert browser.run("document.querySelector('video').videoWidth") == 160
    assert browser.run("document.querySelector('video').duration") == pytest.approx(3, abs=0.2)
