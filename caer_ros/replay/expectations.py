# SPDX-License-Identifier: Apache-2.0
"""Statements over time about the people in a bag, and what became of them.

A file of expectations is a YAML list of statements such as

    - {between: [2, 6], person: any, label: sad, for: at least 60 %}
    - {persons: at most 1}

docs/replay.md explains the fields. Measuring takes memory by persons, not by length.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import yaml

from caer_ros.replay.statistics import Latencies
from caer_ros.types import LABELS, SECOND, CaerError, FrameResult, Reading

Range = tuple[float, float]


class ExpectationError(CaerError):
    """Expectations that cannot be understood; the message names line and field."""


@dataclass(frozen=True)
class Verdict:
    """What became of the statement at `line`: whether it held, and what was measured."""

    line: int
    name: str
    held: bool
    measured: str


_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "at least": operator.ge,
    "at most": operator.le,
    "exactly": operator.eq,
    "above": operator.gt,
    "below": operator.lt,
}


@dataclass(frozen=True)
class Bound:
    """What is allowed, e.g. `at least 60 %`."""

    relation: str
    value: float
    unit: str

    def allows(self, measured: Range) -> bool:
        return all(_RELATIONS[self.relation](value, self.value) for value in measured)


def _of(person: str, readings: Sequence[Reading]) -> Sequence[Reading]:
    """Return the readings of one person, or all for `any` and `every`."""
    if person in _QUANTIFIERS:
        return readings
    return [reading for reading in readings if reading.person_id == person]


class Measure:
    """What one statement measures while the bag goes by."""

    units: tuple[str, ...] = ("",)

    def hold(self, readings: Sequence[Reading], duration: int) -> None:
        """Take in that the cameras' last `readings` stood for `duration` ns of the window."""

    def answer(self, result: FrameResult, latency: float, inside: bool) -> None:
        """Take in a frame's answer, in seconds of work, `inside` the statement's window or not."""

    def drop(self) -> None:
        """Take in that a frame inside the window was dropped."""

    def measured(self, unit: str) -> Range | None:
        """Return the least and the most that was measured; None where there was nothing."""
        raise NotImplementedError


class Share(Measure):
    """The part of the window's time for which the person, any or every, shows one of `labels`."""

    units = ("%", "s")

    def __init__(self, person: str, labels: Sequence[str]) -> None:
        self._person = person
        self._quantify = all if person == "every" else any
        self._labels = labels
        self._held = self._total = 0

    def hold(self, readings: Sequence[Reading], duration: int) -> None:
        chosen = _of(self._person, readings)
        self._total += duration
        if chosen and self._quantify(r.emotion.label in self._labels for r in chosen):
            self._held += duration

    def measured(self, unit: str) -> Range | None:
        if not self._total:
            return None
        value = self._held / SECOND if unit == "s" else 100 * self._held / self._total
        return value, value


class Mean(Measure):
    """The mean over time of a value of the person, or of all, while they are seen."""

    def __init__(self, person: str, name: str) -> None:
        self._person = person
        self._value = operator.attrgetter(name)
        self._sum = 0.0
        self._total = 0

    def hold(self, readings: Sequence[Reading], duration: int) -> None:
        for reading in _of(self._person, readings):
            self._sum += duration * self._value(reading)
            self._total += duration

    def measured(self, unit: str) -> Range | None:
        return (self._sum / self._total,) * 2 if self._total else None


class Persons(Measure):
    """How many persons are seen at a time."""

    def __init__(self) -> None:
        self._counts: set[int] = set()

    def hold(self, readings: Sequence[Reading], duration: int) -> None:
        self._counts.add(len(readings))

    def measured(self, unit: str) -> Range | None:
        return (min(self._counts), max(self._counts)) if self._counts else None


class LabelChanges(Measure):
    """How often the label of the person changes, or of the one who changes most."""

    def __init__(self, person: str) -> None:
        self._person = person
        self._labels: dict[str, int] = {}
        self._changes: Counter[str] = Counter()

    def answer(self, result: FrameResult, latency: float, inside: bool) -> None:
        for reading in _of(self._person, result.readings):
            before = self._labels.get(reading.person_id)
            changed = before is not None and before != reading.emotion
            self._labels[reading.person_id] = reading.emotion
            if inside:
                self._changes[reading.person_id] += changed

    def measured(self, unit: str) -> Range | None:
        return (max(self._changes.values()),) * 2 if self._changes else None


class Latency(Measure):
    """A percentile of the time a frame takes."""

    units = ("ms",)

    def __init__(self, percent: float) -> None:
        self._percent = percent
        self._latencies = Latencies()

    def answer(self, result: FrameResult, latency: float, inside: bool) -> None:
        if inside:
            self._latencies.add(latency)

    def measured(self, unit: str) -> Range | None:
        return (self._latencies.percentile(self._percent),) * 2 if self._latencies else None


class Dropped(Measure):
    """How many frames were passed over because newer ones had come (`--realtime`)."""

    def __init__(self) -> None:
        self._count = 0

    def drop(self) -> None:
        self._count += 1

    def measured(self, unit: str) -> Range | None:
        return self._count, self._count


@dataclass
class _Statement:
    line: int
    name: str
    begin: float
    end: float
    person: str
    bound: Bound
    measure: Measure

    def verdict(self, persons: Sequence[str], length: int) -> Verdict:
        """Judge, given who was seen at all and how many ns the bag had."""
        measured = self.measure.measured(self.bound.unit)
        if self.person not in (*_QUANTIFIERS, *persons):
            seen = ", ".join(persons) or "nobody"
            return Verdict(
                self.line, self.name, False, f"{self.person} never appeared, {seen} did"
            )
        if self.begin > length:
            text = f"the recording ends at {length / SECOND:g} s, before {self.begin / SECOND:g} s"
            return Verdict(self.line, self.name, False, text)
        if measured is None:
            return Verdict(self.line, self.name, False, "nothing to measure: nobody was seen")
        values = " to ".join(f"{value:.4g}" for value in sorted(set(measured)))
        held = self.bound.allows(measured)
        return Verdict(self.line, self.name, held, f"{values} {self.bound.unit}".strip())


class Expectations:
    """Statements that watch a bag go by; `verdicts` judges them at its end.

    Raises:
        ExpectationError: naming `source`, the line and the field that cannot be understood.
    """

    def __init__(self, text: str, source: str) -> None:
        self._statements = _parse(text, source)
        self._standing: dict[str, Sequence[Reading]] = {}
        self._persons: dict[str, None] = {}
        self._origin: int | None = None
        self._now = 0

    def answer(self, result: FrameResult, latency: float) -> None:
        """Take in the answer to a frame and the seconds it took."""
        now = self._time(result.stamp)
        self._stand_until(now)
        self._now = now
        self._standing[result.camera] = result.readings
        self._persons.update((reading.person_id, None) for reading in result.readings)
        for s in self._statements:
            s.measure.answer(result, latency, s.begin <= now <= s.end)

    def drop(self, stamp: int) -> None:
        """Take in that a frame was dropped."""
        now = self._time(stamp)
        for s in self._statements:
            if s.begin <= now <= s.end:
                s.measure.drop()

    def verdicts(self) -> list[Verdict]:
        """Return what became of each statement, in their order."""
        for s in self._statements:  # the last frame stands for no time, but is seen
            if s.begin <= self._now <= s.end and self._standing:
                s.measure.hold(self._readings(), 0)
        return [s.verdict(list(self._persons), self._now) for s in self._statements]

    def _time(self, stamp: int) -> int:
        """Return ns since the first frame; where stamps jump back, time stands still."""
        self._origin = stamp if self._origin is None else self._origin
        return max(self._now, stamp - self._origin)

    def _readings(self) -> list[Reading]:
        return [reading for camera in self._standing.values() for reading in camera]

    def _stand_until(self, now: int) -> None:
        for s in self._statements:
            duration = min(now, s.end) - max(self._now, s.begin)
            if self._standing and duration > 0:
                s.measure.hold(self._readings(), int(duration))


_QUANTIFIERS = ("any", "every")
_MEASURES: dict[str, Callable[[str, Sequence[str]], Measure]] = {
    "label": Share,
    "seen": Share,
    "confidence": lambda person, _: Mean(person, "confidence"),
    "face_weight": lambda person, _: Mean(person, "face_weight"),
    "context_weight": lambda person, _: Mean(person, "context_weight"),
    "label_changes": lambda person, _: LabelChanges(person),
    "persons": lambda *_: Persons(),
    "latency_p50": lambda *_: Latency(50),
    "latency_p95": lambda *_: Latency(95),
    "latency_p99": lambda *_: Latency(99),
    "dropped": lambda *_: Dropped(),
}
_OF_NOBODY = ("persons", "latency_p50", "latency_p95", "latency_p99", "dropped")
_FIELDS = ("name", "between", "person", *_MEASURES, "for")


def _parse(text: str, source: str) -> list[_Statement]:
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ExpectationError(f"{source}:{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ExpectationError(f"{source}: {error}") from error
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise ExpectationError(f"{source}: expected a list of statements, each after a `- `")
    return [_statement(node, source) for node in root.value]


class _Field:
    """A value of a statement, and where it stands."""

    def __init__(self, key: yaml.Node, value: yaml.Node, source: str) -> None:
        self.name = str(key.value)
        self.value = yaml.safe_load(yaml.serialize(value))
        self._where = f"{source}:{key.start_mark.line + 1}: {self.name}"

    def error(self, message: str) -> ExpectationError:
        return ExpectationError(f"{self._where}: {message}")


def _statement(node: yaml.Node, source: str) -> _Statement:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.MappingNode):
        raise ExpectationError(f"{source}:{line}: expected fields such as `persons: at most 1`")
    fields: dict[str, _Field] = {}
    for key, value in node.value:
        field = _Field(key, value, source)
        if field.name not in _FIELDS:
            raise field.error(f"is no field; there are {', '.join(_FIELDS)}")
        if field.name in fields:
            raise field.error("is given twice")
        fields[field.name] = field
    chosen = [name for name in fields if name in _MEASURES]
    if len(chosen) != 1:
        which = " and ".join(chosen) or "none"
        known = ", ".join(_MEASURES)
        raise ExpectationError(f"{source}:{line}: expected exactly one of {known}; found {which}")
    (name,) = chosen
    labels: Sequence[str] = LABELS
    bounded = fields[name]
    if name == "label":
        labels = _labels(bounded)
        if "for" not in fields:
            raise bounded.error("needs a field `for`, such as `for: at least 60 %`")
    if "for" in fields:
        if name != "label":
            raise fields["for"].error(f"belongs to label; write `{name}: at least …`")
        bounded = fields["for"]
    person = str(fields["person"].value) if "person" in fields else "any"
    if "person" in fields and name in _OF_NOBODY:
        raise fields["person"].error(f"does not go with {name}")
    begin, end = _window(fields["between"]) if "between" in fields else (0.0, math.inf)
    measure = _MEASURES[name](person, labels)
    bound = _bound(bounded, measure.units)
    title = ", ".join(f"{field.name} {_words(field.value)}" for field in fields.values())
    if "name" in fields:
        title = str(fields["name"].value)
    return _Statement(line, title, begin, end, person, bound, measure)


def _words(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _labels(field: _Field) -> list[str]:
    labels = field.value if isinstance(field.value, list) else [field.value]
    unknown = [label for label in labels if label not in LABELS]
    if unknown or not labels:
        raise field.error(f"{_words(unknown)!r} is no label; there are {', '.join(LABELS)}")
    return labels


def _window(field: _Field) -> tuple[float, float]:
    """Return begin and end in ns since the first image."""
    match field.value:
        case [int() | float() as begin, int() | float() | "end" as end]:
            limit = math.inf if end == "end" else float(end)
            if 0 <= begin < limit:
                return begin * SECOND, limit * SECOND
    raise field.error(
        f"{field.value!r} is no window; expected two times in seconds from the first image, such "
        "as [2, 6] or [2, end]"
    )


def _bound(field: _Field, units: Sequence[str]) -> Bound:
    pattern = rf"({'|'.join(_RELATIONS)}) +(\d+(?:\.\d+)?) *(\S*)"
    match = re.fullmatch(pattern, str(field.value))
    if match is None or match[3] not in units:
        unit = " or ".join(units)
        raise field.error(
            f"{field.value!r} is no bound; expected {', '.join(_RELATIONS)}, then a number"
            + (f" and {unit}" if unit else "")
        )
    return Bound(match[1], float(match[2]), match[3])


def junit(verdicts: Sequence[Verdict], suite: str, source: str) -> bytes:
    """Return the verdicts as a JUnit XML document, one test case a statement."""
    failed = sum(not verdict.held for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    element = ElementTree.SubElement(root, "testsuite", {"name": suite, **counts})
    for verdict in verdicts:
        attributes = {"classname": suite, "name": verdict.name, "file": source}
        case = ElementTree.SubElement(
            element, "testcase", {**attributes, "line": str(verdict.line)}
        )
        if verdict.held:
            ElementTree.SubElement(case, "system-out").text = f"measured: {verdict.measured}"
        else:
            ElementTree.SubElement(case, "failure", {"message": f"measured: {verdict.measured}"})
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
