# SPDX-License-Identifier: Apache-2.0
"""Foreign text that is shown."""

from hypothesis import given
from hypothesis import strategies as st

from caer_ros.text import printable


def test_plain_text_stays_as_it_is():
    assert printable("müde, 疲れた: 12 %") == "müde, 疲れた: 12 %"


def test_what_a_terminal_obeys_is_escaped():
    assert printable("a\x1b[31mb\nc\u202e") == r"a\x1b[31mb\nc\u202e"


def test_long_text_keeps_both_ends():
    text = printable("begin" + "." * 1000 + "end", 40)

    assert text.startswith("begin")
    assert text.endswith("end (1008 characters)")


@given(st.text(), st.integers(2, 50))
def test_anything_becomes_one_short_line(text, limit):
    shown = printable(text, limit)

    assert shown.isprintable()
    assert len(shown) <= 10 * limit + 50
