# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from caer_ros.files import FileError
from caer_ros.images import ImageError
from caer_ros.replay.bag import IMAGE, TYPES, Bag, BagError, image_to_cdr, new_bag
from caer_ros.types import SECOND

TOPIC = "/camera/image_raw"


def values(path, topics=()):
    """Return the grey values of the images of a bag, in order, and its warnings."""
    with Bag(path) as bag:
        images = list(bag.images(bag.choose_topics(topics)))
        return [int(m.to_bgr()[0, 0, 0]) for m in images], bag.warnings


KINDS = [(s, c) for s in StoragePlugin for c in CompressionMode]
KINDS.remove((StoragePlugin.SQLITE3, CompressionMode.STORAGE))  # there is no such thing


@pytest.mark.parametrize(("storage", "compression"), KINDS)
def test_reads_both_storages_in_every_compression(record, storage, compression):
    assert values(record(storage=storage, compression=compression)) == (list(range(10)), [])


def test_an_image_carries_its_stamp_frame_and_serialized_message(record, numbered):
    path = record()
    with Bag(path) as bag:
        third = list(bag.images([TOPIC]))[2]
    assert (third.topic, third.type, third.frame_id) == (TOPIC, IMAGE, "camera")
    assert third.stamp == third.time == SECOND + 2 * SECOND // 10
    assert TYPES.deserialize_cdr(third.cdr, IMAGE).header == third.message.header
    np.testing.assert_array_equal(third.to_bgr(), numbered(2))


def test_compressed_images_are_decoded(record, numbered):
    assert values(record({TOPIC: [numbered(200)]}, jpeg=True)) == ([200], [])


def test_several_topics_come_in_order_of_recording(record, numbered):
    path = record({"/a": [numbered(i) for i in (0, 1)], "/b": [numbered(i) for i in (10, 11)]})
    assert values(path)[0] == [0, 10, 1, 11]
    assert values(path, ["/b"])[0] == [10, 11]


def test_the_compressed_twin_of_a_raw_topic_is_passed_over_unless_asked_for(record, numbered):
    images = [numbered(1)]
    with Bag(record({"/cam": images, "/cam/compressed": images, "/x/compressed": images})) as bag:
        assert bag.choose_topics() == ["/cam", "/x/compressed"]
        assert bag.choose_topics(["/cam/compressed"]) == ["/cam/compressed"]


def test_images_may_change_their_size(record, numbered):
    with Bag(record({TOPIC: [numbered(1, 64, 48), numbered(2, 32, 24)]})) as bag:
        assert [m.to_bgr().shape for m in bag.images([TOPIC])] == [(48, 64, 3), (24, 32, 3)]


def test_a_single_storage_file_is_a_bag_too(record):
    assert values(record() / "bag.mcap")[0] == list(range(10))


def test_a_split_bag_is_read_in_the_order_of_its_metadata(record, tmp_path, numbered):
    whole = record({TOPIC: [numbered(i) for i in range(3)]}, name="z")
    second = record({TOPIC: [numbered(i) for i in range(3, 6)]}, name="a", start=2 * SECOND)
    shutil.move(second / "a.mcap", whole / "a.mcap")
    text = (whole / "metadata.yaml").read_text()
    metadata = yaml.safe_load(text)
    metadata["rosbag2_bagfile_information"]["relative_file_paths"].append("a.mcap")
    (whole / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert values(whole) == (list(range(6)), [])


def test_files_of_a_split_bag_without_metadata_are_read_in_natural_order(record, numbered):
    path = record({TOPIC: [numbered(9)]}, name="bag_9")
    later = record({TOPIC: [numbered(10)]}, name="bag_10", start=2 * SECOND)
    shutil.move(later / "bag_10.mcap", path / "bag_10.mcap")
    (path / "metadata.yaml").unlink()
    read, warnings = values(path)
    assert read == [9, 10]
    assert warnings == [f"{path} has no metadata.yaml, reading files in order of name"]


def test_ros1_bags_are_read_and_given_as_ros2_messages(tmp_path, numbered):
    types = get_typestore(Stores.ROS1_NOETIC)
    header = types.types["std_msgs/msg/Header"](
        seq=7, stamp=types.types["builtin_interfaces/msg/Time"](sec=5, nanosec=6), frame_id="old"
    )
    image = types.types[IMAGE](header, 48, 64, "bgr8", 0, 192, numbered(3).reshape(-1))
    with Writer1(tmp_path / "old.bag") as writer:
        connection = writer.add_connection("/old", IMAGE, typestore=types)
        writer.write(connection, 9, types.serialize_ros1(image, IMAGE))
    with Bag(tmp_path / "old.bag") as bag:
        (message,) = bag.images(bag.choose_topics())
    assert (message.stamp, message.frame_id, message.time) == (5 * SECOND + 6, "old", 9)
    assert TYPES.deserialize_cdr(message.cdr, IMAGE).header == message.message.header
    np.testing.assert_array_equal(message.to_bgr(), numbered(3))


def test_a_bag_without_images_lists_the_topics_it_has(record):
    with Bag(record({}, also="/chatter")) as bag:
        with pytest.raises(BagError, match=r"no image topic.*/chatter \(std_msgs/msg/String, 1\)"):
            bag.choose_topics()


def test_a_topic_that_is_not_there_is_named_with_those_that_are(record):
    with Bag(record()) as bag, pytest.raises(BagError, match=rf"no image topic /no.*{TOPIC}"):
        bag.choose_topics(["/no"])


def test_an_empty_bag_is_refused(record):
    with Bag(record({TOPIC: []})) as bag, pytest.raises(BagError, match="is empty"):
        bag.choose_topics()


def test_messages_of_other_types_are_passed_over(record):
    assert values(record(also="/chatter")) == (list(range(10)), [])


def test_an_unknown_message_type_beside_the_images_does_no_harm(record):
    path = record(also="/odd")
    data = (path / "bag.mcap").read_bytes()
    (path / "bag.mcap").write_bytes(data.replace(b"std_msgs/msg/String", b"odd_msgs/msg/Strang"))
    assert values(path) == (list(range(10)), [])


@pytest.fixture
def big():
    """Return a function that makes images of which one, even compressed, fills a chunk."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 640, 3), np.uint8)

    def _big(count):
        images = [noise.copy() for _ in range(count)]
        for i, image in enumerate(images):
            image[0, 0] = i
        return images

    return _big


@pytest.mark.parametrize("compression", [CompressionMode.NONE, CompressionMode.STORAGE])
def test_of_a_truncated_mcap_the_whole_chunks_are_read(record, compression, big):
    path = record({TOPIC: big(4)}, compression=compression)
    file = path / "bag.mcap"
    data = file.read_bytes()
    # half of the last of four chunks; the index behind them is small
    file.write_bytes(data[: int(len(data) * 0.85)])
    read, warnings = values(path)
    assert read == [0, 1, 2]
    assert "3 messages are whole" in warnings[0] and "bytes are lost" in warnings[0]
    assert warnings[1] == "1 of the 4 messages that metadata.yaml promises are lost"


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_however_an_mcap_is_cut_its_images_are_read_up_to_there(record, big, data):
    name = f"cut{data.draw(st.uuids())}"
    path = record({TOPIC: big(2)}, name=name)
    file = path / f"{name}.mcap"
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        read, _ = values(path)
    except BagError:
        read = []
    shutil.rmtree(path)
    assert read == list(range(len(read)))


def test_a_damaged_chunk_ends_the_file_with_a_warning(record, big):
    path = record({TOPIC: big(3)}, compression=CompressionMode.STORAGE)
    data = bytearray((path / "bag.mcap").read_bytes())
    middle = data.rfind(b"\x28\xb5\x2f\xfd")
    data[middle : middle + 4] = b"\0\0\0\0"
    (path / "bag.mcap").write_bytes(data)
    read, warnings = values(path)
    assert read == [0, 1]
    assert "bag.mcap is damaged, its rest is lost" in warnings[0]


@pytest.mark.parametrize("content", [b"", b"not a bag at all", b"\x89MCAP0\r\n"])
@pytest.mark.parametrize("name", ["x.mcap", "x.db3", "x.bag", "x.txt"])
def test_a_file_that_is_no_bag_is_a_bag_error_that_names_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BagError, match=name):
        Bag(tmp_path / name).choose_topics()


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BagError, match="nowhere does not exist"):
        Bag(tmp_path / "nowhere")


def test_a_folder_without_storage_files_is_refused(tmp_path):
    with pytest.raises(BagError, match="is no bag: it has no .mcap or .db3 file"):
        Bag(tmp_path)


@pytest.mark.parametrize("text", ["", "a: [", "rosbag2_bagfile_information: 3"])
def test_a_broken_metadata_file_is_done_without(record, text):
    path = record()
    (path / "metadata.yaml").write_text(text)
    read, warnings = values(path)
    assert read == list(range(10))
    assert "metadata.yaml is not readable" in warnings[0]


def test_a_missing_file_of_a_split_bag_is_named_and_the_others_read(record):
    path = record()
    text = (path / "metadata.yaml").read_text()
    text = text.replace("  - bag.mcap", "  - bag.mcap\n  - gone.mcap")
    (path / "metadata.yaml").write_text(text)
    read, warnings = values(path)
    assert read == list(range(10))
    assert "gone.mcap" in warnings[0] and "does not exist" in warnings[0]


def test_an_image_that_is_no_picture_is_an_image_error(tmp_path, numbered):
    _, cdr = image_to_cdr(numbered(1), SECOND, "camera")
    broken = TYPES.deserialize_cdr(cdr, IMAGE)
    broken.step = 3
    path = tmp_path / "broken"
    with new_bag(path) as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
        writer.write(connection, SECOND, TYPES.serialize_cdr(broken, IMAGE))
    with Bag(path) as bag:
        (message,) = bag.images([TOPIC])
        with pytest.raises(ImageError, match="step 3"):
            message.to_bgr()


def test_messages_that_cannot_be_parsed_are_counted_and_passed_over(tmp_path, numbered):
    _, good = image_to_cdr(numbered(5), SECOND, "camera")
    with new_bag(tmp_path / "b") as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
        writer.write(connection, 1, good[:40])
        writer.write(connection, 2, good)
        writer.write(connection, 3, good[:30])
    with Bag(tmp_path / "b") as bag:
        (message,) = bag.images([TOPIC])
        assert (message.time, bag.lost) == (2, 2)
        assert f"message at 1 ns on {TOPIC} is lost, the first one" in bag.warnings[0]


def test_a_bag_appears_only_when_it_is_whole(tmp_path, numbered):
    with pytest.raises(RuntimeError), new_bag(tmp_path / "new") as writer:
        connection = writer.add_connection(TOPIC, IMAGE, typestore=TYPES)
        writer.write(connection, 1, image_to_cdr(numbered(5), SECOND, "camera")[1])
        assert not (tmp_path / "new").exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_bag_that_exists_is_not_written_over(tmp_path):
    with pytest.raises(FileError, match="exists already"), new_bag(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "bag"
    with pytest.raises(FileError, match="cannot write .*file/bag"), new_bag(path):
        pass
