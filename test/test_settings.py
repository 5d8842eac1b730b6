# SPDX-License-Identifier: Apache-2.0
"""Settings refuse what does not fit, and say why."""

import os
from dataclasses import dataclass

import pytest

from caer_ros.node_settings import load_settings
from caer_ros.settings import (
    SettingError,
    build,
    check_live,
    describe,
    flatten,
    read_parameters,
    setting,
)


@dataclass(frozen=True)
class Inner:
    rate: float = setting(10.0, "Samples a second.", minimum=0.5, maximum=100.0, live=True)
    mode: str = setting("own", "Whose faces.", choices=("own", "all"))


@dataclass(frozen=True)
class Outer:
    clips: Inner = Inner()
    topics: list[str] = setting(["image"], "Topics.")  # noqa: RUF009
    count: int = setting(3, "How many.", minimum=1)
    verbose: bool = setting(False, "Say more.")


def test_leaves_come_in_order_with_dotted_names():
    leaves = list(describe(Outer))
    assert [leaf.name for leaf in leaves] == [
        "clips.rate",
        "clips.mode",
        "topics",
        "count",
        "verbose",
    ]
    assert leaves[0].live and not leaves[1].live
    assert leaves[2].default == ["image"]


def test_what_is_not_named_keeps_its_default():
    assert build(Outer, {"clips.rate": 20.0, "topics": ["a", "b"]}) == Outer(
        Inner(rate=20.0), ["a", "b"]
    )


def test_only_what_is_live_may_change_and_equal_is_no_change():
    before = build(Outer, {"count": 5})

    check_live(before, build(Outer, {"count": 5, "clips.rate": 20.0}))
    with pytest.raises(SettingError, match="count cannot change from 5 to 4 while running"):
        check_live(before, build(Outer, {"count": 4}))


def test_nested_yaml_becomes_dotted_names():
    assert flatten({"clips": {"rate": 5.0}, "count": 2}) == {"clips.rate": 5.0, "count": 2}


def test_a_whole_number_serves_as_float_but_not_the_reverse():
    made = build(Outer, {"clips.rate": 20})
    assert made.clips.rate == 20.0 and isinstance(made.clips.rate, float)
    with pytest.raises(SettingError, match=r"count is 2\.0, expected a int"):
        build(Outer, {"count": 2.0})


@pytest.mark.parametrize(
    "name, value, why",
    [
        ("clips.rate", 0.1, r"clips\.rate is 0\.1, the least allowed is 0\.5"),
        ("clips.rate", 1e9, r"the most allowed is 100\.0"),
        ("clips.rate", float("nan"), r"clips\.rate is nan"),
        ("clips.rate", "fast", r"'fast', expected a float"),
        ("clips.mode", "none", r"'none', expected one of own, all"),
        ("topics", "image", r"'image', expected a list of strings"),
        ("count", True, r"count is True, expected a int"),
        ("verbose", 1, r"verbose is 1, expected a bool"),
        ("clips.rat", 3.0, r"unknown setting 'clips\.rat', did you mean clips\.rate\?"),
        ("nonsense", 3.0, r"unknown setting 'nonsense', known are clips\.rate"),
        ("clips", 3.0, r"unknown setting 'clips'"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, value, why):
    with pytest.raises(SettingError, match=why):
        build(Outer, {name: value})


PARAMETERS = """
/**:
  ros__parameters: {use_sim_time: true, size: {width: 3}}
/robot/caer:
  ros__parameters: {size.height: 4, qos_overrides./image.depth: 5}
/other:
  ros__parameters: {nonsense: 1}
"""


def test_a_parameter_file_gives_what_is_meant_for_the_node(tmp_path):
    path = tmp_path / "caer.yaml"
    path.write_text(PARAMETERS)
    assert read_parameters(path) == {"size.width": 3, "size.height": 4}
    assert read_parameters(path, "other") == {"size.width": 3, "nonsense": 1}


@pytest.mark.parametrize(
    "text", ["", "[]", "a: [", "/**: {rate: 3}", "3", "/other: {ros__parameters: {rate: 3}}"]
)
def test_what_is_no_parameter_file_is_refused_by_name(tmp_path, text):
    path = tmp_path / "caer.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match="caer.yaml"):
        read_parameters(path)


def test_a_parameter_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingError, match="cannot read .*gone.yaml: No such file"):
        read_parameters(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    "text, why",
    [
        ("a: &x [1]\nb: *x", r"caer\.yaml:2: an alias \(\*x\) is not read here"),
        ("[" * 2000, r"caer\.yaml:1: nested deeper than 20"),
        ("...", r"caer\.yaml:1: not YAML"),
        ("a: !!int x", r"caer\.yaml:1: "),
        ("a: 2001-99-99", r"caer\.yaml:1: month must be in"),
        ("#" * 1_000_001, r"caer\.yaml has 1000001 bytes, expected at most 1000000"),
    ],
)
def test_a_file_that_would_do_harm_is_refused(tmp_path, text, why):
    path = tmp_path / "caer.yaml"
    path.write_text(text)
    with pytest.raises(SettingError, match=why):
        read_parameters(path)


def test_a_pipe_is_no_parameter_file(tmp_path):
    os.mkfifo(tmp_path / "caer.yaml")
    with pytest.raises(SettingError, match="it is no file"):
        read_parameters(tmp_path / "caer.yaml")


def test_a_byte_order_mark_does_not_spoil_the_first_line(tmp_path):
    path = tmp_path / "caer.yaml"
    path.write_text(PARAMETERS, encoding="utf-8-sig")
    assert read_parameters(path) == {"size.width": 3, "size.height": 4}


def test_an_unknown_setting_names_its_file_and_what_was_meant(tmp_path):
    path = tmp_path / "caer.yaml"
    path.write_text("/**: {ros__parameters: {detector.min_scor: 0.5}}")
    with pytest.raises(SettingError, match=r"caer\.yaml: .* did you mean detector\.min_score\?"):
        load_settings(path)
