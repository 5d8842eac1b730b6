# SPDX-License-Identifier: Apache-2.0
"""The pages of a replay: plain HTML that says all without a script, and follows a cursor with one.

Everything from a bag or an expectation goes through `_text`; a Content-Security-Policy lets the
page run and show nothing but what was put into it here.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from caer_ros.drawing import COLOURS, ink_on
from caer_ros.paths import PathError, share_folder
from caer_ros.text import printable
from caer_ros.types import LABELS, SECOND

PERSONS = 24
"""Most persons with a row and a card of their own: those seen longest."""

LEAST_PEAK = 0.05
"""A probability whose peak is below this part of the person's highest is not drawn."""

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

_WIDE, _NARROW = 620, 190
"""Pixels that a strip has at least, on a desktop and on a phone."""

Runs = Sequence[Sequence[float]]
"""Begin and end in s and the index of a label, in order."""


def report_page(summary: Mapping[str, Any], recorded: Mapping[str, Any]) -> str:
    """Return the page of one replay: its summary, and what the recorder kept."""
    length = max(summary["duration"], recorded["bin"])
    persons = _longest(summary["presence"])
    people = "".join(_card(name, summary, recorded, length) for name in persons)
    body = "".join(
        [
            _head(summary),
            _notes(summary),
            _presence(summary, persons, length),
            _verdicts(summary["expectations"], length),
            _facts(summary),
            f'<h2 id="people">People</h2>{_bar()}{people}' if persons else "",
            _changes(recorded),
            '<h2>Time and losses</h2><div class="columns">',
            f"{_latency(summary)}{_losses(summary)}</div>",
            _configuration(summary),
        ]
    )
    data = {
        "length": length,
        "bin": recorded["bin"],
        "labels": LABELS,
        "series": {name: recorded["series"][name] for name in persons},
        "changes": sorted({change["time"] for change in recorded["changes"]}),
        "frames": recorded["frames"],
        # the part of the frame that the context stream sees
        "scene": summary["weights"]["scene_part"],
    }
    return _page(f"Replay of {summary['bag']}", body, data)


def index_page(summaries: Iterable[Mapping[str, Any]], links: Mapping[str, str]) -> str:
    """Return the page of many replays, a row each; `links` are the addresses of their reports."""
    rows = []
    for summary in summaries:
        name = _name(summary["bag"])
        if summary["bag"] in links and "error" not in summary:
            name = f'<a href="{_text(links[summary["bag"]])}">{name}</a>'
        rows.append([name, *_index_cells(summary)])
    count = f"{len(rows)} bag" + ("" if len(rows) == 1 else "s")
    head = ["Bag", "Expectations", "Persons", "Who showed what when", "Images"]
    legend = " ".join(map(_swatch, LABELS))
    body = (
        f'<header><h1>Replay of {count}</h1><p class="soft">{legend}</p></header>'
        f'<div class="card bags">{_table(head, rows)}</div>'
    )
    return _page(f"Replay of {count}", body, None)


def _index_cells(summary: Mapping[str, Any]) -> list[str]:
    if "error" in summary:
        return [f'<span class="bad">✗</span> {_text(summary["error"])}', "", "", ""]
    length = max(summary["duration"], 0.02)
    strips = [
        _band(summary["presence"][name], length, 10) for name in _longest(summary["presence"])
    ]
    duration = f'<span class="soft">{_seconds(summary["duration"])}</span>'
    return [
        _held(summary["expectations"]) or '<span class="soft">none</span>',
        str(len(summary["persons"])),
        "".join(strips[:6]) + duration,
        _text(_images(summary["images"])) + ("" if summary["complete"] else ", stopped early"),
    ]


# ---- parts ------------------------------------------------------------------------------------


def _head(summary: Mapping[str, Any]) -> str:
    weights, engine = summary["weights"], summary["engine"]
    streams = {"face": "reads the face only", "context": "reads the scene only"}
    reads = streams.get(weights["streams"], "reads face and scene")
    recorded = ""
    if summary["start"] > 1e8 * SECOND:  # a clock, not the time since a start
        moment = datetime.fromtimestamp(summary["start"] / SECOND, timezone.utc)
        recorded = f"recorded {moment:%Y-%m-%d %H:%M:%S} UTC, "
    done = datetime.fromisoformat(summary["date"])
    kind = "" if weights["name"] == weights["architecture"] else f" ({weights['architecture']})"
    stamp = f"{summary['start'] // SECOND}.{summary['start'] % SECOND:09d}"
    return f"""<header><h1>What was seen in {_name(summary["bag"])}</h1>
<p>{_held(summary["expectations"])}</p>
<p class="soft">{recorded}replayed {done:%Y-%m-%d %H:%M} UTC ·
{_text(weights["name"] + kind)} {reads} · {_text(engine["name"])},
{_text(engine["device"])}, {_text(engine["precision"])}</p>
<p class="soft">A shown emotion is not a felt one. {_text(" ".join(_caveats(weights["name"])))}</p>
<p class="soft">Times count from the first image, stamp {stamp} in timeline.csv.</p></header>"""


def _notes(summary: Mapping[str, Any]) -> str:
    notes = list(summary["warnings"])
    if not summary["complete"]:
        notes.insert(0, "Stopped early: this shows only what came before.")
    if not summary["weights"]["trained"]:
        notes.insert(0, "The weights are a random initialisation: the labels mean nothing.")
    if summary["nobody"]:
        notes.append(summary["nobody"])
    return "".join(f'<p class="card note">{_text(note)}</p>' for note in notes)


def _presence(summary: Mapping[str, Any], persons: Sequence[str], length: float) -> str:
    """Return the strip of all persons: who was there when, and with which label."""
    if not summary["images"]["processed"]:
        return ""
    rows = [
        f'<div class="row wide"><span title="{_text(name)}">{_text(name)}</span>'
        f"{_band(summary['presence'][name], length, 18, name)}</div>"
        for name in persons
    ]
    for camera in dict.fromkeys(gap["camera"] for gap in summary["gaps"]):
        gaps = [(g["begin"], g["end"]) for g in summary["gaps"] if g["camera"] == camera]
        marks = "".join(_rect(begin, end, length, "gap") for begin, end in gaps)
        rows.append(
            f'<div class="row wide"><span class="soft">no image</span>'
            f'<svg height="10" role="img" aria-label="{_text(camera)} has no image">'
            f"<title>{_text(camera)}</title>{marks}</svg></div>"
        )
    more = len(summary["presence"]) - len(persons)
    others = f'<p class="soft">and {more} more, seen more briefly</p>' if more > 0 else ""
    axis = f'<div class="row wide"><span></span>{_axis(length)}</div>'
    content = f"{''.join(rows)}{axis}{others}"
    return f'<h2>Who was there when</h2><div class="card" id="presence">{content}</div>'


def _verdicts(verdicts: Sequence[Mapping[str, Any]], length: float) -> str:
    if not verdicts:
        return ""
    rows = []
    for verdict in verdicts:
        begin, end = verdict["between"]
        marks = _rect(begin, length if end is None else end, length, "between")
        marks += "".join(_rect(first, last, length, "where") for first, last in verdict["where"])
        strip = "" if verdict["held"] else f'<svg height="8" aria-hidden="true">{marks}</svg>'
        word = '<span class="good">✓ held</span>' if verdict["held"] else _bad("✗ failed")
        rows.append(
            f'<div class="verdict">{word}<span>{_text(verdict["text"])}</span>{strip}</div>'
        )
    return f'<h2>Expectations</h2><div class="card">{"".join(rows)}</div>'


def _facts(summary: Mapping[str, Any]) -> str:
    total = sum(summary["label_seconds"].values())
    rows = [
        [_swatch(label), _seconds(time), f"{100 * time / total:.0f} %"]
        for label, time in sorted(summary["label_seconds"].items(), key=lambda item: -item[1])
    ]
    count = len(summary["persons"])
    return f"""<h2>Totals</h2><div class="card">
<p>{_seconds(summary["duration"])}, {_seconds(summary["covered"])} of it with images ·
{count} {"person" if count == 1 else "people"} · {_text(_images(summary["images"]))}</p>
{_table(["Label", "Time, all persons together", "Share"], rows) if rows else ""}</div>"""


def _bar() -> str:
    return """<div id="bar" class="script">
<button id="previous" title="previous label change" aria-label="previous label change">‹</button>
<input id="cursor" type="range" min="0" value="0" aria-label="time">
<button id="next" title="next label change" aria-label="next label change">›</button>
<output id="now"></output></div><div id="moments" class="script"></div>"""


def _card(
    name: str, summary: Mapping[str, Any], recorded: Mapping[str, Any], length: float
) -> str:
    person, series = summary["persons"][name], recorded["series"][name]
    times = sorted(person["label_seconds"].items(), key=lambda item: -item[1])
    spent = " · ".join(f"{_swatch(label)} {_seconds(time)}" for label, time in times)
    face = recorded["faces"].get(name)
    picture = f'<img src="{face}" alt="face of {_text(name)}">' if face else ""
    changes = person["label_changes"]
    band = _band(summary["presence"][name], length, 22, name)
    rows = [f'<div class="row"><span>label</span>{band}<output></output></div>']
    bins = [values for values in series["bins"] if values]
    peaks = [max(values[1 + i] for values in bins) for i in range(len(LABELS))]
    for i, label in enumerate(LABELS):
        if peaks[i] >= LEAST_PEAK * max(peaks):
            area = _area(series, recorded["bin"], length, partial(_share, i))
            rows.append(_track(label, i, f'<path class="area {label}" d="{area}"/>'))
    if summary["weights"]["streams"] == "both":
        face_part = _area(series, recorded["bin"], length, partial(_share, len(LABELS)))
        scene_part = _area(series, recorded["bin"], length, lambda v: (v[8], 1000))
        paths = f'<path class="face" d="{face_part}"/><path class="scene" d="{scene_part}"/>'
        rows.append(_track("face / scene", 7, paths))
    return f"""<section class="card chart" data-person="{_text(name)}" aria-label="{_text(name)}">
<div class="person">{picture}<div><h3>{_text(name)}</h3>
<p class="soft">{spent} · {changes} label change{"" if changes == 1 else "s"}</p></div></div>
{"".join(rows)}<div class="row"><span></span>{_axis(length)}<span></span></div></section>"""


def _track(name: str, value: int, paths: str) -> str:
    """Return a row of a card: a name, curves over time, and the value under the cursor."""
    return (
        f'<div class="row" data-value="{value}"><span>{name}</span>'
        '<svg height="26" role="img" aria-hidden="true">'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="26">'
        f'<rect class="track" width="1000" height="1000"/>{paths}</svg>'
        '<line class="cursor" y1="0" y2="26"/></svg><output></output></div>'
    )


def _changes(recorded: Mapping[str, Any]) -> str:
    if not recorded["changes"]:
        return ""
    rows = [
        [
            _seconds(change["time"]),
            _text(change["person"]),
            _swatch(change["before"]) if change["before"] else "appeared",
            _swatch(change["label"]),
            f"{100 * change['confidence']:.0f} %",
        ]
        for change in recorded["changes"]
    ]
    more = recorded["change_count"] - len(rows)
    return (
        f'<h2>Label changes</h2><details class="card"><summary>{recorded["change_count"]} times '
        "that a person appeared or changed the label</summary>"
        f"{_table(['Time', 'Person', 'Before', 'After', 'Confidence'], rows)}"
        + (f'<p class="soft">and {more} more</p>' if more > 0 else "")
        + "</details>"
    )


def _latency(summary: Mapping[str, Any]) -> str:
    names = {"p50": "median", "p95": "95 % within", "p99": "99 % within", "p100": "longest"}
    rows = [[names[name], f"{value:.1f} ms"] for name, value in summary["latency_ms"].items()]
    steps = [[_text(step), f"{value:.2f} ms"] for step, value in summary["steps_ms"].items()]
    pace = "In real time" if summary["realtime"] else "As fast as the machine allows"
    return f"""<div class="card"><h3>Latency per image</h3>{_table(["", ""], rows)}
<h3>Of which, on average</h3>{_table(["", ""], steps)}
<p class="soft">{pace}: {summary["seconds"]} s, {summary["times_real_time"]} times real time</p>
</div>"""


def _losses(summary: Mapping[str, Any]) -> str:
    images = summary["images"]
    rows = [[f"on {_text(topic)}", count] for topic, count in summary["topics"].items()]
    rows += [
        ["processed", images["processed"]],
        ["dropped, a newer one had come", images["dropped"]],
        ["lost, not readable", images["lost"]],
        *([f"failed: {_text(cause)}", count] for cause, count in images["failed"].items()),
        ["stamps that jumped", images["stamp_jumps"]],
    ]
    return f'<div class="card"><h3>Images</h3>{_table(["", ""], rows)}</div>'


def _configuration(summary: Mapping[str, Any]) -> str:
    def rows(values: Mapping[str, Any]) -> list[list[str]]:
        return [[_text(name), _text(json.dumps(value))] for name, value in values.items()]

    return f"""<h2>Configuration</h2><details class="card"><summary>Settings and versions</summary>
{_table(["Setting", "Value"], rows(summary["settings"]))}<h3>Weights</h3>
{_table(["", ""], rows(summary["weights"]))}<h3>Versions</h3>
{_table(["", ""], rows(summary["versions"]))}</details>"""


# ---- drawing ----------------------------------------------------------------------------------


def _band(runs: Runs, length: float, height: int, name: str = "") -> str:
    """Return a strip of one person's labels, with their words where there is room."""
    parts = []
    for begin, end, index in runs:
        label = LABELS[int(index)]
        width = 100 * (min(end, length) - begin) / length
        needed = 8 + 6.5 * len(label)
        word = ""
        if height > 12 and width * _WIDE / 100 > needed:
            kind = f"on-{label}" + ("" if width * _NARROW / 100 > needed else " roomy")
            word = f'<text class="{kind}" x="4" y="{height - 5}">{label}</text>'
        parts.append(
            f'<svg x="{100 * begin / length:.3f}%" width="{max(width, 0.15):.3f}%" '
            f'height="{height}"><title>{label}, {begin:.1f} to {end:.1f} s</title>'
            f'<rect class="{label}" width="100%" height="{height}"/>{word}</svg>'
        )
    line = f'<line class="cursor" y1="0" y2="{height}"/>' if name else ""
    return (
        f'<svg class="band" height="{height}" role="img" aria-label="labels of {_text(name)}">'
        f'<rect class="track" width="100%" height="{height}"/>{"".join(parts)}{line}</svg>'
    )


def _share(index: int, values: Sequence[int]) -> tuple[float, float]:
    return 0, values[1 + index]


def _area(
    series: Mapping[str, Any],
    width: float,
    length: float,
    span: Callable[[Sequence[int]], tuple[float, float]],
) -> str:
    """Return runs of bins as closed steps between two values of 0 to 1000, on 1000 x 1000."""
    path, top, bottom = [], "", ""
    for i, values in enumerate([*series["bins"], None]):
        if values is None:
            if top:
                path.append(f"M{top}L{bottom}Z")
            top = bottom = ""
            continue
        begin = round(1000 * (series["first"] + i) * width / length, 1)
        end = round(min(1000.0, 1000 * (series["first"] + i + 1) * width / length), 1)
        low, high = span(values)
        top += f"{begin:g} {1000 - high:g} {end:g} {1000 - high:g} "
        bottom = f"{end:g} {1000 - low:g} {begin:g} {1000 - low:g} {bottom}"
    return "".join(path)


def _axis(length: float) -> str:
    step = next((step for step in _STEPS if length / step <= 6), length)
    ticks = []
    for i in range(int(length / step + 1e-9) + 1):
        time = i * step
        place = f"{100 * time / length:.3f}%"
        anchor = "start" if i == 0 else "end" if time > 0.95 * length else "middle"
        minutes = f"{int(time // 60)}:{int(time % 60):02d}"
        word = f"{time:g} s" if length < 120 else minutes
        ticks.append(
            f'<line x1="{place}" x2="{place}" y1="0" y2="4"/>'
            f'<text x="{place}" y="16" text-anchor="{anchor}">{word}</text>'
        )
    return f'<svg class="axis" height="20" aria-hidden="true">{"".join(ticks)}</svg>'


def _rect(begin: float, end: float, length: float, kind: str) -> str:
    width = max(100 * (min(end, length) - begin) / length, 0.3)
    place = f'x="{100 * begin / length:.3f}%" width="{width:.3f}%"'
    return f'<rect class="{kind}" {place} height="100%"/>'


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table of cells that are HTML already."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    top = f"<thead><tr>{titles}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _swatch(label: str) -> str:
    return f'<span class="label"><span class="swatch {label}"></span>{label}</span>'


def _bad(word: str) -> str:
    return f'<span class="bad">{word}</span>'


def _held(verdicts: Sequence[Mapping[str, Any]]) -> str:
    if not verdicts:
        return ""
    held = sum(verdict["held"] for verdict in verdicts)
    kind = "good" if held == len(verdicts) else "bad"
    return f'<span class="{kind}">{held} of {len(verdicts)} held</span>'


def _images(images: Mapping[str, Any]) -> str:
    failed = sum(images["failed"].values())
    losses = {"dropped": images["dropped"], "failed": failed, "lost": images["lost"]}
    parts = [f"{images['processed']} images", *(f"{n} {what}" for what, n in losses.items() if n)]
    return ", ".join(parts)


def _seconds(time: float) -> str:
    if time < 120:
        return f"{time:.1f} s"
    hours, minutes = divmod(int(time // 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {time % 60:.0f} s"


def _text(text: object) -> str:
    """Return text from anywhere as HTML that is text and nothing else."""
    return html.escape(printable(str(text), limit=1000))


def _name(text: object) -> str:
    """Return a name or path as `_text` does, to be broken behind its marks, not anywhere."""
    return re.sub(r"[/_.-]", r"\g<0><wbr>", _text(text))


def _longest(presence: Mapping[str, Runs]) -> list[str]:
    """Return the persons seen longest, in order of appearance."""
    seen = {name: sum(run[1] - run[0] for run in runs) for name, runs in presence.items()}
    chosen = sorted(seen, key=lambda name: -seen[name])[:PERSONS]
    return [name for name in presence if name in chosen]


def _caveats(weights: str) -> list[str]:
    """Return what the card of the weights says of their known failures, a sentence each."""
    try:
        card = (share_folder() / "models" / f"{Path(weights).stem}.md").read_text(encoding="utf-8")
    except (OSError, PathError):
        return []
    section = re.search(r"^## Known failures\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^- \*\*(.+?)\*\*", section[1], re.MULTILINE) if section else []
    return [sentence.rstrip(".") + "." for sentence in found[:3]]


# ---- the page ---------------------------------------------------------------------------------


def _page(title: str, body: str, data: Mapping[str, Any] | None) -> str:
    here = Path(__file__).parent
    style = (here / "page.css").read_text(encoding="utf-8") + _colours()
    script = (here / "page.js").read_text(encoding="utf-8") if data else ""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    # the one sequence that could end the script element early
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    code = f'<script type="application/json" id="data">{text}</script><script>{script}</script>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{style}</style>
</head>
<body>
<main id="main">{body}</main>
{code if data else ""}
</body>
</html>
"""


def _colours() -> str:
    rules = []
    for label, colour in zip(LABELS, COLOURS, strict=True):
        tone, ink = (f"rgb({red} {green} {blue})" for blue, green, red in (colour, ink_on(colour)))
        rules.append(f".{label} {{ fill: {tone}; background: {tone}; }}")
        rules.append(f"svg text.on-{label} {{ fill: {ink}; }}")
    return "\n".join(rules)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
