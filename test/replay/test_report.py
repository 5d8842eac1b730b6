# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape

import cv2
import numpy as np
import pytest

from caer_ros.replay.report import BINS, CHANGES, MOMENTS, Recorder, write_report
from caer_ros.types import LABELS, Emotion

HAPPY, SAD = Emotion.HAPPY, Emotion.SAD


@pytest.fixture
def record(steps):
    def _record(results, pictures=False, limit=1000):
        recorder = Recorder(pictures)
        for step in steps(results, limit=limit):
            recorder.take(step)
        return recorder

    return _record


def with_attention(result):
    attention = np.zeros((7, 7), np.float32)
    attention[2, 3] = 1
    readings = tuple(replace(reading, attention=attention) for reading in result.readings)
    return replace(result, readings=readings)


def test_curves_keep_every_change_while_the_bag_is_short(record, frame):
    results = [frame(i / 10, p0001=SAD if i < 5 else HAPPY) for i in range(10)]
    data = record(results).data()
    series = data["series"]["p0001"]
    labels = [LABELS[values[0]] for values in series["bins"]]
    changed = labels.index("happy") * data["bin"]
    assert labels == sorted(labels, reverse=True)  # sad, then happy
    assert changed == pytest.approx(0.5, abs=data["bin"])
    assert series["bins"][0][1:] == [50, 50, 50, 50, 50, 700, 50, 750, 250]


def test_a_pause_of_the_recording_leaves_the_curve_empty(record, frame):
    results = [frame(i / 10, p1=SAD) for i in (*range(20), *range(620, 640))]
    data = record(results, limit=1).data()
    seen = [values is not None for values in data["series"]["p1"]["bins"]]
    assert seen.count(True) / len(seen) == pytest.approx(4.8 / 63.9, abs=0.01)


def test_a_person_s_absence_is_a_gap(record, frame):
    results = [frame(0, p1=SAD), frame(1), frame(2, p1=SAD), frame(2.5, p1=SAD)]
    data = record(results).data()
    seen = [values is not None for values in data["series"]["p1"]["bins"]]
    share = seen.count(False) / len(seen)
    assert share == pytest.approx(1 / 2.5, abs=0.02)


@pytest.mark.parametrize("hours", [0.01, 1, 100])
def test_the_page_s_data_stay_small_however_long_the_bag(record, frame, hours):
    step = hours * 3600 / 3000
    results = [with_attention(frame(i * step, p1=Emotion(i % 7))) for i in range(3000)]
    data = record(results, pictures=True).data()
    assert BINS / 2 < len(data["series"]["p1"]["bins"]) <= BINS
    assert len(data["moments"]) <= MOMENTS
    assert len(data["changes"]) == CHANGES
    assert data["change_count"] == 3000


def test_joined_bins_keep_the_mean(record, frame):
    # four to a bin in the end
    results = [frame(i / 50, p1=SAD if i % 2 else HAPPY) for i in range(4800)]
    for values in record(results).data()["series"]["p1"]["bins"][:-1]:
        assert values[1 + HAPPY] == values[1 + SAD] == 375


def test_moments_are_kept_only_where_there_is_something_to_show(record, frame):
    results = [frame(0, p1=SAD), frame(1, p1=HAPPY)]
    assert record(results).data()["moments"] == []
    first, second = record(map(with_attention, results)).data()["moments"]
    assert (first["label"], second["label"]) == ("sad", "happy")
    assert np.shape(first["attention"]) == (7, 7)
    assert "picture" not in first
    assert record(results, pictures=True).data()["moments"][0]["picture"].startswith("data:image")


# ---- the page in a real browser ---------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")

    def run(*arguments):
        command = [found, "--headless", "--no-sandbox", "--disable-gpu", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    return run


@pytest.fixture
def page(record, replayed, frame, tmp_path):
    """A page of two persons, p1 turning from sad to happy at 5 s, of a bag with a hostile name."""
    summary = json.loads((replayed / "summary.json").read_text())
    summary["bag"] = "</script><img src=x onerror=fail()>"
    summary["weights"]["streams"] = "both"
    summary["duration"] = 10
    seconds = {"sad": 5.0, "happy": 5.0}
    person = {"first": 0, "last": 10, "label_changes": 1, "label_seconds": seconds}
    summary["persons"] = {"p1": person, "p2": person}
    results = []
    for i in range(101):
        persons = {"p1": SAD if i < 50 else HAPPY}
        if i > 30:
            persons["p2"] = Emotion.ANGER
        results.append(with_attention(frame(i / 10, **persons)))
    recorder = record(results, pictures=True)
    path = tmp_path / "report.html"
    write_report(path, summary, recorder)
    return path


def probe(chromium, page, script):
    """Return what `script` evaluates to in the page once it is drawn, and the errors it had."""
    text = page.read_text(encoding="utf-8")
    catch = "<script>window.errors=[];onerror=(m)=>{errors.push(String(m))}</script>"
    ask = (
        "<script>const answer=(()=>{" + script + "})();"
        "document.body.innerHTML='<pre id=probe></pre>';"
        "document.getElementById('probe').textContent=JSON.stringify([answer,errors]);</script>"
    )
    copy = page.with_name("probe.html")
    text = text.replace("<head>", "<head>" + catch).replace("</body>", ask + "</body>")
    copy.write_text(text, encoding="utf-8")
    dom = chromium("--dump-dom", copy.as_uri()).stdout
    answer, errors = json.loads(unescape(re.search('<pre id="probe">(.*)</pre>', dom)[1]))
    assert errors == []
    return answer


def test_the_page_needs_no_network(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?!\$\{)[^"']*|https?://|@import|url\(""", text) == []


def test_the_page_shows_persons_changes_and_verdicts(chromium, page):
    text = probe(chromium, page, "return document.getElementById('main').innerText")
    for words in ("p1", "p2", "✓ held", "✗ failed", "Label changes", "appeared", "openvino"):
        assert words in text
    assert "</script><img src=x onerror=fail()>" in text


def test_the_cursor_follows_keys_mouse_and_buttons(chromium, page):
    now = "document.getElementById('now').textContent"
    values = "document.querySelectorAll('.chart[data-person=p1] .now')"
    readout = f"[...{values}].map((text) => text.textContent)"
    assert probe(chromium, page, f"return [{now}, {readout}]") == [
        "0.00 s", ["5 %", "5 %", "5 %", "5 %", "5 %", "70 %", "5 %", "75 %"],
    ]  # fmt: skip
    press = "dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    once = probe(chromium, page, f"document.body.{press}; return {now}")
    assert once == "0.02 s"
    click = "document.getElementById('next').click();"
    time, values = probe(chromium, page, f"{3 * click} return [{now}, {readout}]")
    assert (time, values[HAPPY], values[SAD]) == ("5.00 s", "70 %", "5 %")
    move = (
        "const c = document.querySelector('.chart'), b = c.getBoundingClientRect();"
        "const x = b.left + c.pixelAt(7.5);"
        "c.dispatchEvent(new PointerEvent('pointermove', {clientX: x, clientY: b.top + 5}));"
        f"return [{now}, document.getElementById('cursor').getAttribute('aria-valuetext')]"
    )
    assert probe(chromium, page, move) == ["7.50 s", "7.50 s: p1 happy, p2 angry"]


def test_the_page_does_not_scroll_sideways_on_a_phone(chromium, page):
    # headless Chromium has no window below 500 pixels, a frame can be narrower
    wrapper = page.with_name("phone.html")
    wrapper.write_text(f'<iframe src="{page.name}" width="390" height="800"></iframe>')
    script = (
        "<script>onload = () => { const d = document.querySelector('iframe').contentDocument;"
        "document.title = [d.documentElement.scrollWidth, d.documentElement.clientWidth,"
        "d.querySelector('.chart').clientWidth] }</script>"
    )
    wrapper.write_text(wrapper.read_text() + script)
    flags = ("--allow-file-access-from-files", "--virtual-time-budget=2000", "--dump-dom")
    dom = chromium(*flags, wrapper.as_uri()).stdout
    scroll, client, chart = map(int, re.search("<title>(.*)</title>", dom)[1].split(","))
    assert scroll <= client <= 390
    assert chart > 280


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn_in_light_and_dark(chromium, page, scheme):
    shot = page.with_suffix(".png")
    dark = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
    flags = dark if scheme == "dark" else ["--blink-settings=preferredColorScheme=1"]
    chromium(*flags, f"--screenshot={shot}", "--window-size=1000,1400", page.as_uri())
    image = cv2.imread(str(shot))
    background = image[5, 5].mean()
    assert (background < 60) if scheme == "dark" else (background > 200)
    # the bands of sad (blue) and happy (yellow) are there
    for colour in ((178, 114, 0), (66, 228, 240)):
        assert (np.abs(image.astype(int) - colour).max(axis=2) < 8).sum() > 1000
