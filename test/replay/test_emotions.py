# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader

from caer_ros.messages import EMOTION_ARRAY
from caer_ros.msg import EmotionArray
from caer_ros.replay.bag import TYPES
from caer_ros.replay.emotions import EmotionBag, to_cdr
from caer_ros.ros.conversions import to_emotion_array
from caer_ros.types import Emotion, Face, FrameResult, Reading

share = st.floats(0, 1, width=32)
pixel = st.floats(-1000, 3000, allow_nan=False)
moment = st.integers(0, 2**31 * 10**9 - 1)
readings = st.builds(
    Reading,
    person_id=st.from_regex(r"p[0-9]{4,6}", fullmatch=True),
    face=st.builds(
        lambda x, y, w, h, score: Face(x, y, x + w, y + h, score),
        pixel, pixel, st.floats(0, 2000), st.floats(0, 2000), share,
    ),
    emotion=st.sampled_from(Emotion),
    confidence=share,
    probabilities=st.tuples(*[share] * 7),
    face_weight=share,
    context_weight=share,
    frames=st.integers(0, 65535),
    clip_duration=moment,
    since=moment,
)  # fmt: skip
results = st.builds(
    FrameResult,
    camera=st.just("c"),
    stamp=moment,
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    readings=st.lists(readings, max_size=4).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(results, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9))
def test_the_bag_holds_what_the_node_would_publish(result, frame_id):
    written = deserialize_message(bytes(to_cdr(result, frame_id)), EmotionArray)
    assert written == to_emotion_array(result, frame_id)


def test_the_definition_in_the_bag_is_that_of_the_message(tmp_path):
    with EmotionBag(tmp_path / "bag", pictures=False):
        pass
    with Reader(tmp_path / "bag") as reader:
        (connection,) = reader.connections
    definition = connection.msgdef.data
    assert definition.startswith("std_msgs/Header header")
    for name in ("caer_ros/Emotion", "sensor_msgs/RegionOfInterest", "std_msgs/Header"):
        assert f"MSG: {name}" in definition
    # the hash that tells other nodes that their definition is the same
    assert connection.digest == TYPES.hash_rihs01(EMOTION_ARRAY)
    assert EmotionArray.get_fields_and_field_types().keys() == {
        name for name, _ in TYPES.fielddefs[EMOTION_ARRAY][1]
    }
