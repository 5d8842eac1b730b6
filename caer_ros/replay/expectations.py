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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import yaml

from caer_ros.replay.stream import Sink, Span, Step
from caer_ros.replay.tally import Latencies
from caer_ros.settings import SettingError, compose, construct
from caer_ros.text import printable
from caer_ros.types import LABELS, SECOND, SPELLINGS, CaerError, Reading, emotion_named

Range = tuple[float, float]

WINDOWS = 50
"""Most windows of time that are kept for one statement."""


class ExpectationError(CaerError):
    """Expectations that cannot be understood; the message names line and field."""


@dataclass(frozen=True)
class Verdict:
    """What became of the statement at `line` of `source`: whether it held, what was measured.

    text: all of it in one sentence: name, bound, and where it failed what was seen when.
    between: the statement's window in seconds since the first image, its end None for that of the
    bag. where: windows in which it was not as stated, the first `WINDOWS` of them.
    """

    line: int
    name: str
    held: bool
    measured: str
    text: str
    between: tuple[float, float | None] = (0.0, None)
    where: tuple[Range, ...] = ()
    source: str = ""


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

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g} {self.unit}".strip()

    def allows(self, measured: Range) -> bool:
        return all(_RELATIONS[self.relation](value, self.value) for value in measured)


@dataclass
class Windows:
    """Windows of time in ns, each with the value that stood in it, joined where they touch."""

    found: list[tuple[int, int, float]] = field(default_factory=list)
    count: int = 0

    def add(self, begin: int, end: int, value: float) -> None:
        if self.found and self.found[-1][1:] == (begin, value):
            self.found[-1] = (self.found[-1][0], end, value)
            return
        self.count += 1
        if len(self.found) < WINDOWS:
            self.found.append((begin, end, value))

    def longest(self, value: float) -> str:
        """Return the longest window of a value in words, and how many others there are."""
        begin, end, _ = max(
            (window for window in self.found if window[2] == value),
            key=lambda window: window[1] - window[0],
        )
        text = f"from {begin / SECOND:.1f} to {end / SECOND:.1f} s"
        if self.count == 1:
            return text
        return f"{text} and {'once' if self.count == 2 else f'{self.count - 1} times'} more"


def _of(person: str, readings: Sequence[Reading]) -> Sequence[Reading]:
    """Return the readings of one person, or all for `any` and `every`."""
    if person in _QUANTIFIERS:
        return readings
    return [reading for reading in readings if reading.person_id == person]


class Measure:
    """What one statement measures while the bag goes by, for a bound on it.

    windows: where it was not as the bound has it.
    """

    units: tuple[str, ...] = ("",)
    nothing = "nothing to measure: nobody was seen"

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.windows = Windows()

    def hold(self, span: Span) -> None:
        """Take in what stood in a part of the statement's window."""

    def answer(self, step: Step, inside: bool) -> None:
        """Take in a frame's answer, `inside` the statement's window or not."""

    def drop(self, time: int) -> None:
        """Take in that a frame inside the window was dropped, at `time` in ns."""

    def measured(self) -> Range | None:
        """Return the least and the most that was measured; None where there was nothing."""
        raise NotImplementedError

    def told(self) -> str:
        """Return in words what was measured and where it was not as stated."""
        least, most = self.measured() or (math.nan, math.nan)
        return f"was {_number((least, most), self.bound.unit)}"


class Share(Measure):
    """The part of the window's time for which the person, any or every, shows one of `labels`."""

    units = ("%", "s")

    def __init__(self, bound: Bound, person: str, labels: Sequence[str]) -> None:
        super().__init__(bound)
        self._person = person
        self._quantify = all if person == "every" else any
        self._labels = labels
        self._unwanted = bound.relation in ("at most", "below")
        self._held = self._total = 0

    def hold(self, span: Span) -> None:
        chosen = _of(self._person, span.readings)
        shown = bool(chosen) and self._quantify(r.emotion.label in self._labels for r in chosen)
        self._total += span.end - span.begin
        self._held += shown * (span.end - span.begin)
        if shown == self._unwanted and span.end > span.begin:
            self.windows.add(span.begin, span.end, 0)

    def measured(self) -> Range | None:
        if not self._total:
            return None
        share = 100 * self._held / self._total
        return (self._held / SECOND if self.bound.unit == "s" else share,) * 2

    def told(self) -> str:
        if not self.windows.found:
            return super().told()
        return f"{super().told()}, {'so' if self._unwanted else 'not'} {self.windows.longest(0)}"


class Mean(Measure):
    """The mean over time of a value of the person, or of all, while they are seen."""

    def __init__(self, bound: Bound, person: str, name: str) -> None:
        super().__init__(bound)
        self._person = person
        self._value = operator.attrgetter(name)
        self._sum = 0.0
        self._total = 0

    def hold(self, span: Span) -> None:
        for reading in _of(self._person, span.readings):
            self._sum += (span.end - span.begin) * self._value(reading)
            self._total += span.end - span.begin

    def measured(self) -> Range | None:
        return (self._sum / self._total,) * 2 if self._total else None


class Persons(Measure):
    """How many persons are seen at a time, while there are images."""

    nothing = "nothing to measure: there was no image"

    def __init__(self, bound: Bound) -> None:
        super().__init__(bound)
        self._counts: set[int] = set()

    def hold(self, span: Span) -> None:
        if not span.covered:
            return
        count = len(span.readings)
        self._counts.add(count)
        if not self.bound.allows((count, count)):
            self.windows.add(span.begin, span.end, count)

    def measured(self) -> Range | None:
        return (min(self._counts), max(self._counts)) if self._counts else None

    def told(self) -> str:
        # the count that is furthest off
        worst = max(self.windows.found, key=lambda window: abs(window[2] - self.bound.value))[2]
        return f"was {worst:g} {self.windows.longest(worst)}"


class LabelChanges(Measure):
    """How often the label of the person changes, or of the one who changes most."""

    def __init__(self, bound: Bound, person: str) -> None:
        super().__init__(bound)
        self._person = person
        self._changes: Counter[str] = Counter()

    def answer(self, step: Step, inside: bool) -> None:
        if not inside:
            return
        for reading in _of(self._person, step.result.readings):
            self._changes[reading.person_id] += 0  # seen
        changed = [change.reading for change in step.changes if change.before is not None]
        for reading in _of(self._person, changed):
            self._changes[reading.person_id] += 1
            self.windows.add(step.time, step.time, step.time)

    def measured(self) -> Range | None:
        return (max(self._changes.values()),) * 2 if self._changes else None

    def told(self) -> str:
        person, count = self._changes.most_common(1)[0]
        times = [f"{begin / SECOND:.1f}" for begin, _, _ in self.windows.found]
        when = f", labels changed at {', '.join(times[:8])} s" if times else ""
        return f"was {count} ({person}{when}{' …' if self.windows.count > 8 else ''})"


class Latency(Measure):
    """A percentile of the time a frame takes."""

    units = ("ms",)
    nothing = "nothing to measure: there was no image"

    def __init__(self, bound: Bound, percent: float) -> None:
        super().__init__(bound)
        self._percent = percent
        self._latencies = Latencies()

    def answer(self, step: Step, inside: bool) -> None:
        if inside:
            self._latencies.add(step.latency)

    def measured(self) -> Range | None:
        return (self._latencies.percentile(self._percent),) * 2 if self._latencies else None


class Dropped(Measure):
    """How many frames were passed over because newer ones had come (`--realtime`)."""

    def __init__(self, bound: Bound) -> None:
        super().__init__(bound)
        self._times: list[int] = []
        self._count = 0

    def drop(self, time: int) -> None:
        self._count += 1
        self._times = [*self._times[:1], time]

    def measured(self) -> Range | None:
        return self._count, self._count

    def told(self) -> str:
        if not self._times:
            return super().told()
        first, last = self._times[0] / SECOND, self._times[-1] / SECOND
        return f"{super().told()}, between {first:.1f} and {last:.1f} s"


def _number(measured: Range, unit: str) -> str:
    values = " to ".join(f"{value:.4g}" for value in sorted(set(measured)))
    return f"{values} {unit}".strip()


@dataclass
class _Statement:
    line: int
    source: str
    name: str
    titled: bool
    begin: float
    end: float
    person: str
    measure: Measure

    def hold(self, span: Span) -> None:
        begin, end = max(span.begin, self.begin), min(span.end, self.end)
        if begin < end or span.begin == span.end == begin <= end:
            self.measure.hold(Span(int(begin), int(end), span.readings, span.covered))

    def inside(self, time: int) -> bool:
        return self.begin <= time <= self.end

    def verdict(self, persons: Sequence[str], length: int, nobody: str) -> Verdict:
        """Judge, given who was seen at all, how many ns the bag had, and why nobody was seen."""
        bound, measured = self.measure.bound, self.measure.measured()
        held, told = False, ""
        if self.person not in (*_QUANTIFIERS, *persons):
            seen = ", ".join(persons) or "nobody"
            value = told = f"{self.person} never appeared, {seen} did"
        elif self.begin > length:
            start = f"{self.begin / SECOND:g} s"
            value = told = f"the recording ends at {length / SECOND:g} s, before {start}"
        elif measured is None:
            value = told = self.measure.nothing
        else:
            value = _number(measured, bound.unit)
            held = bound.allows(measured)
            told = f"was {value}" if held else self.measure.told()
        if not held and not persons:
            told += f"; {nobody}" if nobody else ""
        stated = f"{self.name}: {bound}" if self.titled else self.name
        end = None if self.end == math.inf else self.end / SECOND
        windows = [] if held else self.measure.windows.found
        return Verdict(
            self.line,
            self.name,
            held,
            value,
            f"{stated}; {told} ({self.source}:{self.line})",
            (self.begin / SECOND, end),
            tuple((begin / SECOND, end / SECOND) for begin, end, _ in windows),
            self.source,
        )


class Expectations(Sink):
    """Statements that watch a bag go by; `verdicts` judges them at its end.

    Args:
        files: name and text of each file of statements.
        realtime: whether images may be dropped.

    Raises:
        ExpectationError: naming the file, the line and the field that cannot be understood.
    """

    def __init__(self, files: Iterable[tuple[str, str]], *, realtime: bool = True) -> None:
        self._statements = [
            statement for name, text in files for statement in _parse(text, name, realtime)
        ]
        self._persons: dict[str, None] = {}
        self._last: Step | None = None

    def take(self, step: Step) -> None:
        """Take in a frame's answer."""
        self._persons.update((reading.person_id, None) for reading in step.result.readings)
        self._last = step
        for s in self._statements:
            for span in step.spans:
                s.hold(span)
            s.measure.answer(step, s.inside(step.time))

    def drop(self, time: int) -> None:
        """Take in that a frame was dropped, at `time` in ns since the first image."""
        for s in self._statements:
            if s.inside(time):
                s.measure.drop(time)

    def verdicts(self, nobody: str = "") -> list[Verdict]:
        """Return what became of each statement, in their order.

        `nobody` says why nobody was seen, where that is so.
        """
        length = 0
        if self._last:  # the last frame stands for no time, but is seen
            length = self._last.time
            end = Span(length, length, self._last.standing, True)
            for s in self._statements:
                s.hold(end)
        return [s.verdict(list(self._persons), length, nobody) for s in self._statements]


_QUANTIFIERS = ("any", "every")
_OF_IMAGES: dict[str, Callable[[Bound], Measure]] = {
    "persons": Persons,
    "latency_p50": lambda bound: Latency(bound, 50),
    "latency_p95": lambda bound: Latency(bound, 95),
    "latency_p99": lambda bound: Latency(bound, 99),
    "dropped": Dropped,
}
_OF_PERSONS: dict[str, Callable[[Bound, str, Sequence[str]], Measure]] = {
    "label": Share,
    "seen": Share,
    "confidence": lambda bound, person, _: Mean(bound, person, "confidence"),
    "face_weight": lambda bound, person, _: Mean(bound, person, "face_weight"),
    "context_weight": lambda bound, person, _: Mean(bound, person, "context_weight"),
    "label_changes": lambda bound, person, _: LabelChanges(bound, person),
}
_MEASURES = (*_OF_PERSONS, *_OF_IMAGES)
_UNITS = {
    **dict.fromkeys(("label", "seen"), Share.units),
    **dict.fromkeys(("latency_p50", "latency_p95", "latency_p99"), Latency.units),
}
_FIELDS = ("name", "between", "person", *_MEASURES, "for")


def _parse(text: str, source: str, realtime: bool) -> list[_Statement]:
    try:
        root = compose(text, source)
    except SettingError as error:
        raise ExpectationError(str(error)) from error
    if not isinstance(root, yaml.SequenceNode) or not root.value:
        raise ExpectationError(f"{source}: expected a list of statements, each after a `- `")
    return [_statement(node, source, realtime) for node in root.value]


class _Field:
    """A value of a statement, and where it stands."""

    def __init__(self, key: yaml.Node, value: yaml.Node, source: str) -> None:
        self.name = str(key.value)
        self._where = f"{source}:{key.start_mark.line + 1}: {self.name}"
        try:
            self.value = construct(value, source)
        except SettingError as error:
            raise ExpectationError(str(error)) from error

    def error(self, message: str) -> ExpectationError:
        return ExpectationError(f"{self._where}: {message}")


def _statement(node: yaml.Node, source: str, realtime: bool) -> _Statement:
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
    if "person" in fields and name in _OF_IMAGES:
        raise fields["person"].error(f"does not go with {name}")
    if name == "dropped" and not realtime:
        raise bounded.error("images are dropped with --realtime only")
    begin, end = _window(fields["between"]) if "between" in fields else (0.0, math.inf)
    bound = _bound(bounded, _UNITS.get(name, Measure.units))
    if name in _OF_IMAGES:
        measure = _OF_IMAGES[name](bound)
    else:
        measure = _OF_PERSONS[name](bound, person, labels)
    title = ", ".join(f"{field.name} {_words(field.value)}" for field in fields.values())
    if "name" in fields:
        title = str(fields["name"].value)
    return _Statement(line, source, title, "name" in fields, begin, end, person, measure)


def _words(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def _labels(field: _Field) -> list[str]:
    words = field.value if isinstance(field.value, list) else [field.value]
    named = {str(word): emotion_named(str(word)) for word in words}
    unknown = [word for word, emotion in named.items() if emotion is None]
    if unknown or not words:
        others = ", ".join(word for spelt in SPELLINGS.values() for word in spelt)
        raise field.error(f"{_words(unknown)!r} is no label; there are {others}")
    return [emotion.label for emotion in named.values() if emotion is not None]


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


def junit(verdicts: Sequence[Verdict], suite: str) -> bytes:
    """Return the verdicts as a JUnit XML document, one test case a statement."""
    failed = sum(not verdict.held for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    # XML has no words for control characters
    suite = printable(suite)
    element = ElementTree.SubElement(root, "testsuite", {"name": suite, **counts})
    for verdict in verdicts:
        attributes = {
            "classname": suite,
            "name": printable(verdict.name),
            "file": printable(verdict.source),
            "line": str(verdict.line),
        }
        case = ElementTree.SubElement(element, "testcase", attributes)
        told = printable(verdict.text)
        if verdict.held:
            ElementTree.SubElement(case, "system-out").text = told
        else:
            ElementTree.SubElement(case, "failure", {"message": told})
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
