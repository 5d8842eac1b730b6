# SPDX-License-Identifier: Apache-2.0
"""The order of the steps: detection, tracks, clips, one batch, smoothing, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from caer_ros.engines.base import EngineError
from caer_ros.network.spec import NetworkSpec
from caer_ros.perception import search
from caer_ros.perception.clips import PERIOD
from caer_ros.perception.pipeline import LATE, EmotionPipeline, PipelineSettings
from caer_ros.perception.search import Region
from caer_ros.settings import SettingError, build, describe
from caer_ros.types import SECOND, CaerError, Emotion, Face, Frame

MakePipeline = Callable[..., EmotionPipeline]
MakeFrame = Callable[..., Frame]

FACE_ONLY = NetworkSpec(streams="face")
CONTEXT_ONLY = NetworkSpec(streams="context")
VIDEO = NetworkSpec(architecture="caer_net", clip_length=16)
HAPPY, SAD = 32 * Emotion.HAPPY, 32 * Emotion.SAD


def test_every_person_has_a_reading_of_the_own_face(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    (result,) = pipeline.process([make_frame(7, (100, 100, HAPPY), (400, 300, SAD))])
    assert (result.camera, result.stamp, result.width, result.height) == ("head", 7, 640, 480)
    assert [r.emotion for r in result.readings] == [Emotion.HAPPY, Emotion.SAD]
    first, second = result.readings
    assert (first.person_id, second.person_id) == ("p0001", "p0002")
    assert (first.face.x1, first.face.y2) == pytest.approx((70, 130))
    assert first.confidence == pytest.approx(0.7)
    assert sum(first.probabilities) == pytest.approx(1.0)
    assert (first.face_weight, first.context_weight) == (0.75, 0.25)
    assert (first.frames, first.clip_duration, first.since) == (1, 0, 7)
    assert first.attention is not None
    assert first.attention.shape == (7, 7)
    assert set(result.seconds) == {"detector", "tracker", "crops", "network", "smoothing"}


def test_nobody_in_the_picture_is_an_empty_result_without_inference(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    (result,) = pipeline.process([make_frame(0)])
    assert result.readings == ()
    assert pipeline.engine.calls == []


def test_the_face_crop_has_the_margin_and_the_context_hides_the_own_face(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"crops.face_margin": 0.5})
    pipeline.process([make_frame(0, (250, 200, HAPPY), (400, 300, SAD))])
    faces, contexts, index = pipeline.engine.calls[0].arrays
    assert faces.shape == (2, 96, 96, 3)
    # half the crop is face, a quarter on each side is margin
    assert (faces[0, 24:72, 26:70, 2] == 255).all()
    assert (faces[0, :22] == 90).all()
    assert contexts.shape == (2, 112, 112, 3)
    assert index.tolist() == [0, 1]
    for own, other in ((0, 1), (1, 0)):
        blue = (HAPPY, SAD)
        red = contexts[own][contexts[own][..., 2] == 255]
        assert (red[:, 0] == blue[other]).all()
        assert len(red)
        assert (contexts[own] == 0).all(axis=2).any()


def test_hiding_all_faces_cuts_one_context_per_camera(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"crops.hide": "all"})
    faces = (250, 200, HAPPY), (400, 300, SAD)
    pipeline.process([make_frame(0, *faces), make_frame(0, (300, 240, SAD), camera="hand")])
    _, contexts, index = pipeline.engine.calls[0].arrays
    assert contexts.shape == (2, 112, 112, 3)
    assert index.tolist() == [0, 0, 1]
    assert not (contexts[..., 2] == 255).any()


@pytest.mark.parametrize(
    ("spec", "has_face", "has_context"), [(FACE_ONLY, True, False), (CONTEXT_ONLY, False, True)]
)
def test_only_the_streams_that_the_weights_read_are_cut(
    spec: NetworkSpec,
    has_face: bool,
    has_context: bool,
    make_pipeline: MakePipeline,
    make_frame: MakeFrame,
) -> None:
    pipeline = make_pipeline(spec)
    (result,) = pipeline.process([make_frame(0, (100, 100, SAD))])
    faces, contexts, index = pipeline.engine.calls[0].arrays
    assert (faces is not None) == has_face
    assert (contexts is not None) == (index is not None) == has_context
    assert (result.readings[0].attention is not None) == has_context


def test_persons_of_all_cameras_share_one_batch_and_one_counter(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    results = pipeline.process(
        [
            make_frame(0, (100, 100, HAPPY), camera="head"),
            make_frame(5, (200, 100, SAD), camera="hand", size=(320, 240)),
            make_frame(9, camera="back"),
        ]
    )
    assert len(pipeline.engine.calls) == 1
    assert [(r.camera, r.stamp, r.width) for r in results] == [
        ("head", 0, 640),
        ("hand", 5, 320),
        ("back", 9, 640),
    ]
    assert [[x.person_id for x in r.readings] for r in results] == [["p0001"], ["p0002"], []]
    assert [results[i].readings[0].emotion for i in (0, 1)] == [Emotion.HAPPY, Emotion.SAD]


def test_between_detections_the_box_moves_on_and_is_read(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"detector.interval": 3})
    places = []
    for k in range(31):
        frame = make_frame(k * SECOND // 30, (100 + 4 * k, 200, HAPPY))
        (result,) = pipeline.process([frame])
        places.append(result.readings[0].face.x1 + 30)
    assert pipeline.detector.calls == 11
    # at first nobody knows yet that the face moves
    assert len(pipeline.engine.calls) >= 29
    np.testing.assert_allclose(places[10:], 100 + 4 * np.arange(10, 31), atol=2)


def test_who_keeps_still_is_looked_for_and_read_in_turn(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    work = []
    for k in range(30):
        looked, read = pipeline.detector.calls, len(pipeline.engine.calls)
        (result,) = pipeline.process([make_frame(k * SECOND // 30, (100, 200, HAPPY))])
        assert [r.detected for r in result.readings] == [True]
        work.append((pipeline.detector.calls > looked, len(pipeline.engine.calls) > read))
    assert work[-6:] in ([(True, False), (False, True)] * 3, [(False, True), (True, False)] * 3)


@pytest.mark.parametrize(("rate", "step"), [(15, 4), (30, 8)])
def test_who_moves_is_looked_for_and_read_in_every_image(
    rate: int, step: int, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    for k in range(40):
        if k == 10:
            looked, read = pipeline.detector.calls, len(pipeline.engine.calls)
        pipeline.process([make_frame(k * SECOND // rate, (100 + step * k, 200, HAPPY))])
    assert pipeline.detector.calls - looked >= 30
    assert len(pipeline.engine.calls) - read == 30


def test_a_lost_person_keeps_the_last_answer_for_a_while(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"tracker.death": 0.5})
    pipeline.process([make_frame(0, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(SECOND // 2)])
    assert [r.emotion for r in result.readings] == [Emotion.SAD]
    assert len(pipeline.engine.calls) == 1
    (result,) = pipeline.process([make_frame(SECOND)])
    assert result.readings == ()


def test_probabilities_are_smoothed_and_the_label_holds(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"smoothing.time_constant": 0.2, "smoothing.hold": 0.3})
    labels, sadness, since = [], [], []
    for k in range(16):
        emotion = HAPPY if k < 5 else SAD
        (result,) = pipeline.process([make_frame(k * PERIOD, (100, 100, emotion))])
        (reading,) = result.readings
        labels.append(reading.emotion)
        sadness.append(reading.probabilities[Emotion.SAD])
        since.append(reading.since)
    assert (np.diff(sadness[4:]) > 0).all()
    change = labels.index(Emotion.SAD)
    # sad is ahead by 0.6 from 0.5 s on, and five tenths of a second times 0.6 are 0.3
    assert change == 9
    assert since[change:] == [change * PERIOD] * (16 - change)


def test_a_stamp_that_jumps_back_drops_the_tracks_once(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    pipeline.process([make_frame(100 * SECOND, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(0, (100, 100, SAD))])
    assert result.reset
    assert [(r.person_id, r.since) for r in result.readings] == [("p0002", 0)]
    (result,) = pipeline.process([make_frame(PERIOD, (100, 100, SAD))])
    assert not result.reset
    assert [r.person_id for r in result.readings] == ["p0002"]


def test_a_jump_of_one_camera_leaves_the_others_alone(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    for stamp in (50 * SECOND, 50 * SECOND + PERIOD):
        frames = [make_frame(stamp, (100, 100, SAD), camera=name) for name in ("a", "b")]
        pipeline.process(frames)
    results = pipeline.process(
        [
            make_frame(0, (100, 100, SAD), camera="a"),
            make_frame(50 * SECOND + 2 * PERIOD, (100, 100, SAD), camera="b"),
        ]
    )
    assert [r.reset for r in results] == [True, False]
    assert [r.readings[0].person_id for r in results] == ["p0003", "p0002"]


@pytest.mark.parametrize("back", [0, 1, LATE])
def test_an_equal_or_slightly_older_stamp_repeats_the_readings(
    back: int, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    (first,) = pipeline.process([make_frame(SECOND, (100, 100, SAD))])
    (again,) = pipeline.process([make_frame(SECOND - back, (300, 300, HAPPY))])
    assert again.readings == first.readings
    assert again.stamp == SECOND - back
    assert not again.reset
    assert pipeline.detector.calls == 1
    (later,) = pipeline.process([make_frame(SECOND + PERIOD, (100, 100, SAD))])
    assert [r.person_id for r in later.readings] == ["p0001"]


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_stamps_off_by_up_to_150_ms_make_one_person_of_one(
    rate: int, make_pipeline: MakePipeline, make_frame: MakeFrame, rng: np.random.Generator
) -> None:
    pipeline = make_pipeline()
    ids = set()
    for k in range(12 * rate):
        stamp = 10 * SECOND + round(SECOND * (k / rate + rng.uniform(-0.15, 0.15)))
        (result,) = pipeline.process([make_frame(stamp, (100, 100, SAD))])
        ids |= {reading.person_id for reading in result.readings}
        assert not result.reset
    assert ids == {"p0001"}


def test_an_hour_ahead_everybody_is_somebody_new(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO)
    pipeline.process([make_frame(0, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(3600 * SECOND, (100, 100, SAD))])
    assert not result.reset
    assert [r.person_id for r in result.readings] == ["p0002"]
    assert result.readings[0].frames == 1


def test_another_image_size_starts_the_camera_anew(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    pipeline.process([make_frame(0, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(PERIOD, (100, 100, SAD), size=(320, 240))])
    assert (result.width, result.height, result.reset) == (320, 240, False)
    assert [r.person_id for r in result.readings] == ["p0002"]


def test_reset_forgets_persons_but_not_their_ids(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    pipeline.process([make_frame(0, (100, 100, SAD))])
    pipeline.reset()
    (result,) = pipeline.process([make_frame(0, (100, 100, SAD))])
    assert not result.reset
    assert [r.person_id for r in result.readings] == ["p0002"]


def test_sixty_faces_are_read_up_to_the_limit(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"tracker.max_persons": 16})
    crowd = [(70 + 100 * (k % 10), 70 + 100 * (k // 10), SAD) for k in range(60)]
    for k in range(3):
        (result,) = pipeline.process([make_frame(k * PERIOD, *crowd, size=(1100, 700))])
    assert [r.person_id for r in result.readings] == [f"p{k:04d}" for k in range(1, 17)]


def test_a_failing_engine_costs_its_frame_only(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    (first,) = pipeline.process([make_frame(0, (100, 100, HAPPY))])
    pipeline.engine.fail = True
    with pytest.raises(EngineError, match="out of order"):
        pipeline.process([make_frame(PERIOD, (100, 100, HAPPY))])
    pipeline.engine.fail = False
    (third,) = pipeline.process([make_frame(2 * PERIOD, (104, 100, HAPPY))])
    assert [r.person_id for r in third.readings] == ["p0001"]
    assert third.readings[0].since == first.readings[0].since


def test_probabilities_that_are_not_numbers_are_an_error_and_are_not_kept(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    pipeline.engine.factor = np.nan
    with pytest.raises(EngineError, match=r"blue gave probabilities that are not numbers"):
        pipeline.process([make_frame(0, (100, 100, SAD))])
    pipeline.engine.factor = 1.0
    (result,) = pipeline.process([make_frame(PERIOD, (100, 100, SAD))])
    assert result.readings[0].confidence == pytest.approx(0.7)


def test_a_failing_detector_costs_its_frame_only(
    make_pipeline: MakePipeline, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(**{"detector.interval": 2})
    pipeline.process([make_frame(0, (100, 100, SAD))])
    pipeline.process([make_frame(PERIOD, (100, 100, SAD))])
    with monkeypatch.context() as patch:

        def fail(image: np.ndarray, region: Region) -> None:
            raise CaerError("no detection")

        patch.setattr(pipeline.detector, "detect", fail)
        with pytest.raises(CaerError, match="no detection"):
            pipeline.process([make_frame(2 * PERIOD, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(3 * PERIOD, (100, 100, SAD))])
    assert [r.person_id for r in result.readings] == ["p0001"]
    assert pipeline.detector.calls == 2


@pytest.mark.parametrize("rate", [5, 10, 24, 30, 60])
def test_a_video_network_reads_clips_of_the_last_second_and_a_half(
    rate: int, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO)
    for k in range(4 * rate + 1):
        stamp = k * SECOND // rate
        blue = 8 * (stamp // SECOND)  # the second is in the picture
        (result,) = pipeline.process([make_frame(stamp, (320, 240, blue))])
    faces, contexts, _ = pipeline.engine.calls[-1].arrays
    assert faces.shape == (1, 16, 96, 96, 3)
    assert contexts.shape == (1, 16, 112, 112, 3)
    seconds = faces[0, :, 48, 48, 0] // 8
    assert (np.diff(seconds) >= 0).all()
    # 16 tenths of a second hold one or two changes of the second, wherever they end
    assert 1 <= seconds[-1] - seconds[0] <= 2
    (reading,) = result.readings
    assert reading.frames == (9 if rate == 5 else 16)
    assert reading.clip_duration == pytest.approx(1.5 * SECOND, abs=SECOND // 8)
    # at once, then every eight samples
    samples = 4 * min(rate, 10)
    assert len(pipeline.engine.calls) == pytest.approx(1 + samples / 8, abs=1)


def test_between_two_clips_the_last_reading_goes_on_with_a_new_box(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO)
    pipeline.process([make_frame(0, (100, 100, SAD))])
    (result,) = pipeline.process([make_frame(PERIOD, (130, 100, HAPPY))])
    assert len(pipeline.engine.calls) == 1
    assert result.readings[0].emotion is Emotion.SAD
    assert result.readings[0].face.x1 == pytest.approx(100, abs=2)


def test_clips_that_are_due_together_are_spread_over_frames(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO)
    people = [(100 + 100 * k, 200, SAD) for k in range(5)]
    counts = []
    for k in range(30 * 8):
        before = sum(len(call) for call in pipeline.engine.calls)
        (result,) = pipeline.process([make_frame(k * SECOND // 30, *people)])
        counts.append(sum(len(call) for call in pipeline.engine.calls) - before)
    assert max(counts) == 1
    assert len(result.readings) == 5
    # five people, eight seconds, a clip each every 0.8 s
    assert sum(counts) == pytest.approx(50, abs=5)


def test_a_newcomer_does_not_wait_for_the_beat(
    make_pipeline: MakePipeline, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCH_PERIOD", 1)
    pipeline = make_pipeline(VIDEO)
    pipeline.process([make_frame(0)])
    (result,) = pipeline.process([make_frame(PERIOD // 2, (100, 100, SAD))])
    assert [r.emotion for r in result.readings] == [Emotion.SAD]


def test_who_has_waited_longest_is_read_first(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO)
    # the second person comes half a second later: due at 0.5 and 1.3 s, the first at 0.8 and 1.6
    for k in range(55):
        people = [(100, 100, HAPPY), (400, 100, SAD)][: 1 + (k >= 15)]
        pipeline.engine.fail = 36 <= k < 53
        if pipeline.engine.fail and k >= 39:
            with pytest.raises(EngineError):
                pipeline.process([make_frame(k * SECOND // 30, *people)])
        else:
            pipeline.process([make_frame(k * SECOND // 30, *people)])
    read = [batch.faces[0, -1, 48, 48, 0] for batch in pipeline.engine.calls[-2:]]
    assert read == [SAD, HAPPY]


def test_a_slow_camera_reads_as_many_clips_a_frame_as_the_stride_asks(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO, **{"clips.stride": 1})
    people = [(100 + 100 * k, 200, SAD) for k in range(5)]
    for k in range(10):
        pipeline.process([make_frame(k * PERIOD, *people)])
    assert len(pipeline.engine.calls[-1]) == 5


def test_a_shared_scene_is_one_clip_for_all(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(VIDEO, **{"crops.hide": "all", "clips.stride": 1})
    people = [(200 + 100 * k, 200, SAD) for k in range(3)]
    for k in range(20):
        pipeline.process([make_frame(k * PERIOD, *people)])
    faces, contexts, index = pipeline.engine.calls[-1].arrays
    assert faces.shape[:2] == (3, 16)
    assert contexts.shape[:2] == (1, 16)
    assert index.tolist() == [0, 0, 0]
    assert not (contexts[..., 2] == 255).any()


@pytest.mark.parametrize("hide", ["own", "all"])
def test_a_static_network_looks_at_the_scene_twice_a_second(
    hide: str, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"crops.hide": hide})
    scenes = []
    for k in range(61):
        # they walk, so that each is read in every image and every scene differs
        people = [(100 + 6 * k, 100, SAD), (500 - 6 * k, 300, HAPPY)]
        pipeline.process([make_frame(k * SECOND // 30, *people)])
        batch = pipeline.engine.calls[-1]
        scenes.append([batch.contexts[i].tobytes() for i in batch.context_index])
    for person in range(2):
        assert 4 <= len({scene[person] for scene in scenes}) <= 6
    if hide == "own":
        # not both in one image, but for the first
        changes = [[a != b for a, b in zip(*two, strict=True)] for two in pairwise(scenes)]
        assert max(map(sum, changes)) == 1
    else:
        assert all(scene[0] == scene[1] for scene in scenes)


@pytest.mark.parametrize("spec", [NetworkSpec(), VIDEO], ids=["static", "video"])
def test_the_same_frames_give_the_same_readings(
    spec: NetworkSpec, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    def run() -> list[object]:
        rng = np.random.default_rng(3)
        pipeline = make_pipeline(spec, **{"detector.interval": 2})
        results = []
        for k in range(40):
            people = [
                (100 + 5 * k, 200, SAD),
                (500 - 4 * k + rng.integers(3), 300, HAPPY),
            ]
            frame = make_frame(k * SECOND // 24, *people[: 1 + k // 10 % 2])
            results += pipeline.process([frame])
        return results

    assert run() == run()


def test_live_settings_take_effect_in_the_next_frame(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline()
    pipeline.process([make_frame(0, (100, 100, SAD))])
    settings = build(
        PipelineSettings,
        {
            "tracker.birth": 0.0,
            "tracker.id_prefix": "p",
            "tracker.death": 0.05,
            "detector.interval": 2,
            "smoothing.hold": 0.0,
            "smoothing.time_constant": 0.0,
        },
    )
    pipeline.update(settings)
    (result,) = pipeline.process([make_frame(PERIOD // 4, (100, 100, HAPPY))])
    assert result.readings[0].emotion is Emotion.HAPPY
    assert pipeline.detector.settings.interval == 2
    (result,) = pipeline.process([make_frame(2 * PERIOD)])
    assert result.readings == ()


def test_a_setting_that_is_not_live_is_refused_and_nothing_changes(
    make_pipeline: MakePipeline,
) -> None:
    pipeline = make_pipeline()
    before = pipeline.settings
    changed = replace(before, crops=replace(before.crops, hide="all", face_margin=0.7))
    with pytest.raises(SettingError, match=r"crops\.hide cannot change from 'own' to 'all'"):
        pipeline.update(changed)
    assert pipeline.settings is before


def test_every_setting_is_described_and_fits_its_own_range() -> None:
    for leaf in describe(PipelineSettings):
        assert len(leaf.description) > 20, leaf.name
        assert leaf.check(leaf.default) == leaf.default


@pytest.mark.parametrize("spec", [FACE_ONLY, CONTEXT_ONLY, VIDEO], ids=["face", "scene", "clip"])
def test_warming_up_runs_both_models_and_leaves_no_trace(
    spec: NetworkSpec, make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(spec)
    pipeline.warm_up()
    assert pipeline.detector.calls == len(pipeline.engine.calls) == 1
    (result,) = pipeline.process([make_frame(0, (100, 100, SAD))])
    assert [r.person_id for r in result.readings] == ["p0001"]


def test_closing_frees_detector_and_engine(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    pipeline.close()
    assert pipeline.detector.closed
    assert pipeline.engine.closed


def test_a_pipeline_of_settings_says_what_it_cannot_load() -> None:
    settings = build(PipelineSettings, {"engine.weights": "/nowhere/weights.safetensors"})
    with pytest.raises(CaerError, match="/nowhere/weights"):
        EmotionPipeline.from_settings(settings)


def test_faces_from_elsewhere_are_read_without_the_own_detector(
    make_pipeline: MakePipeline, make_frame: MakeFrame
) -> None:
    pipeline = make_pipeline(**{"detector.interval": 3})
    faces = (Face(70, 70, 130, 130, 0.9, person_id="anna"),)

    for k in range(4):
        frame = make_frame(k * SECOND // 10, (100, 100, HAPPY), (400, 300, SAD))
        (result,) = pipeline.process([replace(frame, faces=faces)])
        (reading,) = result.readings
        assert (reading.person_id, reading.emotion) == ("anna", Emotion.HAPPY)
        assert reading.detected
    (nobody,) = pipeline.process([replace(make_frame(SECOND), faces=())])

    assert not nobody.readings[0].detected
    assert pipeline.detector.calls == 0
