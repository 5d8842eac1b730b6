# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import shutil
import sqlite3
import struct

import numpy as np
import pytest
import yaml
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
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


@pytest.fixture
def write_ros1(tmp_path, numbered):
    """Return a function that writes a ROS 1 bag of numbered images, a chunk each."""
    types = get_typestore(Stores.ROS1_NOETIC)
    time = types.types["builtin_interfaces/msg/Time"]

    def _write(name="old.bag", count=1, compression=None):
        writer = Writer1(tmp_path / name)
        writer.chunk_threshold = 1
        if compression:
            writer.set_compression(compression)
        with writer:
            connection = writer.add_connection("/old", IMAGE, typestore=types)
            for i in range(count):
                header = types.types["std_msgs/msg/Header"](
                    seq=7, stamp=time(sec=5 + i, nanosec=6), frame_id="old"
                )
                data = numbered(3 + i).reshape(-1)
                image = types.types[IMAGE](header, 48, 64, "bgr8", 0, 192, data)
                writer.write(connection, 9 + i, types.serialize_ros1(image, IMAGE))
        return tmp_path / name

    return _write


def test_ros1_bags_are_read_and_given_as_ros2_messages(write_ros1, numbered):
    with Bag(write_ros1()) as bag:
        (message,) = bag.images(bag.choose_topics())
    assert (message.stamp, message.frame_id, message.time) == (5 * SECOND + 6, "old", 9)
    assert TYPES.deserialize_cdr(message.cdr, IMAGE).header == message.message.header
    np.testing.assert_array_equal(message.to_bgr(), numbered(3))


@pytest.mark.parametrize(
    "compression", [None, Writer1.CompressionFormat.BZ2, Writer1.CompressionFormat.LZ4]
)
def test_of_a_ros1_bag_cut_short_the_whole_chunks_are_read(write_ros1, compression):
    path = write_ros1(count=4, compression=compression)
    whole = path.read_bytes()
    last = whole.rindex(b"compression=")
    path.write_bytes(whole[: last + 60])
    read, warnings = values(path)
    assert read == [3, 4, 5]
    assert "no index, 3 messages are whole" in warnings[0]


@pytest.mark.parametrize("name", ["old.BAG", "old.bag.active"])
def test_a_ros1_bag_is_known_by_its_content(write_ros1, name):
    path = write_ros1()
    assert values(path.rename(path.with_name(name))) == ([3], [])


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
    assert "cut short, 3 messages are whole" in warnings[0] and "bytes are lost" in warnings[0]
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


def test_a_damaged_chunk_costs_its_own_messages_alone(record, big):
    path = record({TOPIC: big(4)}, compression=CompressionMode.STORAGE)
    file = path / "bag.mcap"
    data = bytearray(file.read_bytes())
    second = data.find(b"\x28\xb5\x2f\xfd", data.find(b"\x28\xb5\x2f\xfd") + 4)
    data[second : second + 4] = b"\0\0\0\0"
    for content in (data, data[:-30]):  # with the index at the end, and without
        file.write_bytes(content)
        with Bag(path) as bag:
            assert [int(m.to_bgr()[0, 0, 0]) for m in bag.images([TOPIC])] == [0, 2, 3]
            text = " ".join(bag.warnings)
        assert "bag.mcap is damaged: the messages of the chunk at byte" in text
    file.write_bytes(data)
    with Bag(path) as bag:
        list(bag.images([TOPIC]))
        assert bag.lost == 1


@pytest.fixture
def write_mcap(tmp_path, numbered):
    """Return a function that writes an MCAP by the library of its makers.

    `encoding` and `profile` are those of ROS 1 or 2; `use_chunking` is the writer's.
    """

    def _write(name="x.mcap", *, encoding="cdr", profile="ros2", also="", **options):
        path = tmp_path / name
        with path.open("wb") as file:
            writer = McapWriter(file, **options)
            writer.start(profile=profile)
            schema = writer.register_schema(
                IMAGE if encoding == "cdr" else "sensor_msgs/Image", f"{encoding}msg", b""
            )
            channel = writer.register_channel(TOPIC, encoding, schema)
            if also:
                other = writer.register_channel("/other", also, 0)
                writer.add_message(other, SECOND, b"{}", SECOND)
            for i in range(3):
                kind, cdr = image_to_cdr(numbered(i), (i + 1) * SECOND, "camera")
                data = bytes(cdr if encoding == "cdr" else TYPES.cdr_to_ros1(cdr, kind))
                writer.add_message(channel, (i + 1) * SECOND, data, (i + 1) * SECOND)
            writer.finish()
        return path

    return _write


@pytest.mark.parametrize(
    "options",
    [
        {"profile": ""},
        {"also": "json"},
        {"encoding": "ros1", "profile": "ros1"},
        {"use_chunking": False},
        {"use_statistics": False, "index_types": IndexType.NONE},
    ],
)
def test_an_mcap_of_another_writer_is_whole(write_mcap, options):
    assert values(write_mcap(**options)) == ([0, 1, 2], [])


def test_messages_of_an_unknown_channel_are_counted(write_mcap):
    path = write_mcap(compression=CompressionType.NONE, enable_crcs=False)
    data = bytearray(path.read_bytes())
    # channel, sequence and time of the first message
    message = data.index(struct.pack("<HIQ", 1, 0, SECOND))
    data[message] ^= 0x40
    path.write_bytes(data)
    read, warnings = values(path)
    assert read == [1, 2]
    assert "1 messages of the chunk at byte" in warnings[0]
    assert "unknown channel" in warnings[0]


def test_a_chunk_that_claims_too_much_is_not_unpacked(write_mcap):
    path = write_mcap()
    data = path.read_bytes()
    chunk = data.index(b"\x04\0\0\0zstd")
    claim = (2**40).to_bytes(8, "little")
    path.write_bytes(data[: chunk - 12] + claim + data[chunk - 4 :])
    with Bag(path) as bag:
        assert list(bag.images([TOPIC])) == []
        assert f"claims {2**40} bytes" in bag.warnings[0]
        assert bag.lost == 3


def test_a_file_that_unpacks_without_end_is_refused(record, tmp_path):
    file = tmp_path / "x.mcap.zstd"
    with file.open("wb") as out, zstandard.ZstdCompressor().stream_writer(out) as packer:
        packer.write(b"\x89MCAP0\r\n")
        for _ in range(1100):
            packer.write(bytes(2**20))
    with pytest.raises(BagError, match="x.mcap.zstd: it unpacks to more than 100 times its size"):
        Bag(file)


def test_a_pipe_is_no_bag(tmp_path):
    os.mkfifo(tmp_path / "x.mcap")
    with pytest.raises(BagError, match="is no file and no folder"):
        Bag(tmp_path / "x.mcap")
    (tmp_path / "bag").mkdir()
    (tmp_path / "x.mcap").rename(tmp_path / "bag" / "x.mcap")
    with pytest.raises(BagError, match="has no .mcap or .db3 file"):
        Bag(tmp_path / "bag")


def test_topics_without_images_are_not_chosen(record, numbered):
    images = [numbered(1)]
    with Bag(record({"/cam": [], "/cam/compressed": images, "/front": images})) as bag:
        assert bag.choose_topics() == ["/cam/compressed", "/front"]


def test_what_is_no_picture_of_a_camera_is_passed_over_and_said(record, numbered):
    names = [
        "/camera/color/image_raw",
        "/camera/depth/image_rect_raw",
        "/camera/aligned_depth_to_color/image_raw",
        "/camera/infra1/image_rect_raw",
        "/caer/debug_image",
        "/kinect/image/compressedDepth",
        "/deepest/image",
    ]
    with Bag(record({name: [numbered(1)] for name in names})) as bag:
        assert bag.choose_topics() == [names[0], names[6]]
        (warning,) = bag.warnings
        assert all(name in warning for name in names[1:6])
        assert bag.choose_topics([names[3]]) == [names[3]]
    with Bag(record({names[3]: [numbered(1)]}, name="infrared")) as bag:
        assert bag.choose_topics() == [names[3]]


@pytest.mark.parametrize("name", ["take #1", "what?", "100%25 x"])
def test_sqlite_bags_of_any_name_are_read(record, name, tmp_path):
    path = record(storage=StoragePlugin.SQLITE3).rename(tmp_path / name)
    assert values(path) == (list(range(10)), [])


def test_a_sqlite_log_that_was_left_is_read_too(record, tmp_path):
    path = record(storage=StoragePlugin.SQLITE3)
    (path / "metadata.yaml").unlink()
    database = sqlite3.connect(path / "bag.db3")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    row = database.execute("SELECT topic_id, data FROM messages LIMIT 1").fetchone()
    database.execute(
        "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)",
        (row[0], 9 * SECOND, row[1]),
    )
    database.commit()
    left = tmp_path / "left"
    shutil.copytree(path, left)  # as it lies when the recorder is killed
    database.close()
    before = {file.name: file.read_bytes() for file in left.iterdir()}
    read, warnings = values(left)
    assert read == [*range(10), 0]
    assert "was left by a recorder that was killed" in warnings[1]
    assert {file.name: file.read_bytes() for file in left.iterdir()} == before


@pytest.mark.parametrize("name", ["talk.bag", "talk.mcap", "talk"])
def test_a_folder_is_a_bag_by_what_lies_in_it(record, name):
    assert values(record(name=name)) == (list(range(10)), [])


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
