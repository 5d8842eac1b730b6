# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caer_ros.files import FileError
from caer_ros.replay.timeline import Row, TimelineError, TimelineWriter, read_timeline
from caer_ros.types import LABELS, SECOND

ROW = Row(12 * SECOND + 34, "p0001", "sad", 0.51234, 0.75, 0.25)


def test_the_file_is_plain_csv_with_fixed_digits(tmp_path):
    with TimelineWriter(tmp_path / "timeline.csv") as timeline:
        timeline.write(ROW)
    assert (tmp_path / "timeline.csv").read_bytes() == (
        b"stamp,person_id,label,confidence,face_weight,context_weight\n"
        b"12.000000034,p0001,sad,0.5123,0.7500,0.2500\n"
    )


def test_random_weights_are_named_in_the_file(tmp_path):
    with TimelineWriter(tmp_path / "timeline.csv", untrained=True) as timeline:
        timeline.write(ROW)
    assert (tmp_path / "timeline.csv").read_text().startswith("# untrained weights")
    assert len(list(read_timeline(tmp_path / "timeline.csv"))) == 1


quarter = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(
    st.lists(
        st.builds(
            Row,
            st.integers(0, 2**31 * SECOND),
            st.from_regex(r"p[0-9]{4}", fullmatch=True),
            st.sampled_from(LABELS),
            quarter,
            quarter,
            quarter,
        )
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("timeline") / "timeline.csv"
    with TimelineWriter(path) as timeline:
        for row in table:
            timeline.write(row)
    assert list(read_timeline(path)) == table


def test_an_exception_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), TimelineWriter(tmp_path / "timeline.csv") as timeline:
        timeline.write(ROW)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "no" / "timeline.csv"
    with pytest.raises(FileError, match="cannot write .*/no/timeline.csv: No such file"):
        with TimelineWriter(path):
            pass


def test_a_full_disk_is_an_error_without_a_half_file(tmp_path):
    # a process of its own, whose file size limit stands for the disk's
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from caer_ros.files import FileError\n"
        "from caer_ros.replay.timeline import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    with TimelineWriter(Path(sys.argv[1])) as timeline:\n"
        "        for i in range(10000): timeline.write(Row(i, 'p0001', 'sad', 0.5, 0.5, 0.5))\n"
        "except FileError as error: print(error)\n"
    )
    path = tmp_path / "timeline.csv"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert f"cannot write {path}: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "a,b\n", ",".join(Row._fields) + "\n1.0,p1,sad,x,1,0\n"])
def test_a_file_that_is_no_timeline_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TimelineError, match="t.csv"):
        list(read_timeline(tmp_path / "t.csv"))
