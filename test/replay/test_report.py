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

from caer_ros.replay.page import index_page, report_page
from caer_ros.replay.report import BINS, CHANGES, FRAMES, RUNS, Recorder, write_report
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
    assert len(data["frames"]) <= FRAMES
    assert len(data["changes"]) == CHANGES
    assert data["change_count"] == 3000


def test_joined_bins_keep_the_mean(record, frame):
    # four to a bin in the end
    results = [frame(i / 50, p1=SAD if i % 2 else HAPPY) for i in range(4800)]
    for values in record(results).data()["series"]["p1"]["bins"][:-1]:
        assert values[1 + HAPPY] == values[1 + SAD] == 375


def test_a_frame_a_second_is_kept_where_there_is_something_to_show(record, frame):
    results = [frame(i / 10, p1=SAD) for i in range(35)]
    assert record(results).data()["frames"] == []
    data = record(map(with_attention, results)).data()
    assert [frame["time"] for frame in data["frames"]] == [0, 1, 2, 3]
    (face,) = data["frames"][0]["faces"]
    assert (face["person"], face["box"]) == ("p1", (10, 20, 30, 50))
    assert face["attention"][2][3] == 99
    assert "picture" not in data["frames"][0]
    assert data["faces"] == {}
    data = record(results, pictures=True).data()
    assert data["frames"][3]["picture"].startswith("data:image/jpeg")
    assert data["faces"]["p1"].startswith("data:image/jpeg")


def test_presence_is_runs_of_one_label(record, frame):
    results = [frame(i / 10, p1=SAD if i < 50 else HAPPY) for i in range(101)]
    first, second = record(results).presence()["p1"]
    assert first == [0, 5, SAD]
    assert second == [5, pytest.approx(10.0, abs=0.03), HAPPY]


def test_presence_of_a_restless_person_stays_short(record, frame):
    results = [frame(i / 10, p1=SAD if i % 2 else HAPPY) for i in range(1000)]
    runs = record(results).presence()["p1"]
    assert len(runs) <= RUNS
    assert (runs[0][0], runs[-1][1]) == (0, pytest.approx(99.9, abs=0.2))


def test_ten_minutes_with_pictures_stay_below_ten_megabytes(steps, frame, replayed):
    summary = json.loads((replayed / "summary.json").read_text())
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    pixels = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    recorder = Recorder(pictures=True)
    results = (frame(i / 5, p1=Emotion(i // 50 % 7), p2=SAD) for i in range(3000))
    for step in steps(map(with_attention, results)):
        recorder.take(replace(step, image=replace(step.image, pixels=pixels)))
    data = recorder.data()
    assert len(data["frames"]) >= 300
    person = summary["persons"]["p0001"]
    summary |= {"duration": 600, "presence": recorder.presence()}
    summary["persons"] = {"p1": person, "p2": person}
    assert len(report_page(summary, data)) < 10_000_000


# ---- the page in a real browser ---------------------------------------------------------------

HOSTILE = "</script><img src=x onerror=fail()><b>\x1b[31m"


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
def summary(replayed):
    """What is known of two persons, p1 turning from sad to happy at 5 s; all names are hostile."""
    summary = json.loads((replayed / "summary.json").read_text())
    seconds = {"sad": 5.0, "happy": 5.0}
    person = {"first": 0, "last": 10, "label_changes": 1, "label_seconds": seconds}
    verdict = summary["expectations"][1]
    return summary | {
        "bag": HOSTILE,
        "duration": 10,
        "persons": {"p1": person, "p2": person},
        "topics": {HOSTILE: 3},
        "warnings": [HOSTILE],
        "weights": summary["weights"] | {"streams": "both", "name": HOSTILE},
        "gaps": [{"camera": HOSTILE, "begin": 2, "end": 4}],
        "images": summary["images"] | {"failed": {HOSTILE: 2}},
        "expectations": [
            summary["expectations"][0],
            verdict | {"text": HOSTILE, "where": [[2, 4]], "between": [1, None]},
        ],
    }


@pytest.fixture
def page(record, summary, frame, tmp_path):
    results = []
    for i in range(101):
        persons = {"p1": SAD if i < 50 else HAPPY}
        if i > 30:
            persons["p2"] = Emotion.ANGER
        results.append(with_attention(frame(i / 10, HOSTILE, **persons)))
    recorder = record(results, pictures=True)
    path = tmp_path / "report.html"
    write_report(path, summary | {"presence": recorder.presence()}, recorder)
    return path


def probe(chromium, page, script, *flags):
    """Return what `script` evaluates to in the page once it is drawn, and the errors it had."""
    text = page.read_text(encoding="utf-8")
    # our own scripts would be refused
    text = re.sub("<meta http-equiv[^>]*>", "", text)
    catch = "<script>window.errors=[];onerror=(m)=>{errors.push(String(m))}</script>"
    ask = (
        "<script>const answer=(()=>{" + script + "})();"
        "document.body.innerHTML='<pre id=probe></pre>';"
        "document.getElementById('probe').textContent=JSON.stringify([answer,errors]);</script>"
    )
    copy = page.with_name("probe.html")
    text = text.replace("<head>", "<head>" + catch).replace("</body>", ask + "</body>")
    copy.write_text(text, encoding="utf-8")
    dom = chromium(*flags, "--dump-dom", copy.as_uri()).stdout
    answer, errors = json.loads(unescape(re.search('<pre id="probe">(.*)</pre>', dom)[1]))
    assert errors == []
    return answer


def test_the_page_needs_no_network(page):
    text = page.read_text(encoding="utf-8")
    sources = re.findall(r"""(?<![-\w])(?:src|href)=["']([^"']*)|@import|url\(""", text)
    assert {source.partition(",")[0] for source in sources} == {"data:image/jpeg;base64"}


def test_without_a_script_the_page_says_all_that_matters(page):
    # what a browser without scripts shows, but for what is only there for them
    body = re.search("<main.*?</main>", page.read_text(encoding="utf-8"), re.DOTALL)[0]
    text = unescape(re.sub("<[^>]+>", " ", body))
    for words in (
        "1 of 2 held",
        "✓ held",
        "✗ failed",
        "Who was there when",
        "p1",
        "reads face and scene",
        "openvino",
        "A shown emotion is not a felt one",
        "replayed 20",
        "Label changes",
        "5.0 s",
    ):
        assert words in text
    assert 'class="happy"' in body


def test_nothing_from_outside_is_more_than_text(chromium, page):
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "<img src=x" not in text
    assert "\x1b" not in text
    shown = probe(chromium, page, "return document.getElementById('main').innerText")
    assert shown.count("</script><img src=x onerror=fail()><b>\\x1b[31m") > 4
    images = "[...document.images].every((image) => image.src.startsWith('data:'))"
    assert probe(chromium, page, f"return {images}")


def test_the_policy_stops_what_would_come_in_all_the_same(chromium, page):
    text = page.read_text(encoding="utf-8")
    evil = (
        "<script>document.title='evil'</script><b onclick='1' id=b>b</b>"
        "<img src='data:x' onerror=\"document.title='evil'\">"
        "<style>main{display:none}</style>"
    )
    page.write_text(text.replace("</main>", evil + "</main>"), encoding="utf-8")
    dom = chromium("--dump-dom", page.as_uri()).stdout
    assert "<title>evil" not in dom
    # the page's own script ran
    assert 'class="scripted"' in dom


def test_the_cursor_follows_keys_mouse_and_buttons(chromium, page):
    now = "document.getElementById('now').textContent"
    rows = "document.querySelectorAll('[data-person=p1] [data-value]')"
    readout = (
        f"Object.fromEntries([...{rows}].map((row) => [row.dataset.value,"
        "row.querySelector('output').textContent]))"
    )
    # 5 % of all others are drawn, as the peak is 70 %
    assert probe(chromium, page, f"return [{now}, {readout}]") == [
        "0.00 s",
        {str(i): "70 %" if i == SAD else "5 %" for i in range(7)} | {"7": "75 %"},
    ]
    press = "dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}))"
    once = probe(chromium, page, f"document.body.{press}; return {now}")
    assert once == "0.02 s"
    click = "document.getElementById('next').click();"
    time, values = probe(chromium, page, f"{2 * click} return [{now}, {readout}]")
    assert (time, values[str(int(HAPPY))], values[str(int(SAD))]) == ("5.00 s", "70 %", "5 %")
    move = (
        "let due = []; window.requestAnimationFrame = (draw) => due.push(draw);"
        "const c = document.querySelector('[data-person=p1] [data-value] > svg');"
        "const b = c.getBoundingClientRect(), x = b.left + 0.75 * b.width;"
        "c.dispatchEvent(new PointerEvent('pointermove', {clientX: x, clientY: b.top + 5}));"
        "due.forEach((draw) => draw());"
        f"return [{now}, document.getElementById('cursor').getAttribute('aria-valuetext'),"
        "document.querySelector('#moments figcaption').textContent.slice(-6)]"
    )
    assert probe(chromium, page, move) == ["7.50 s", "7.50 s: p1 happy, p2 angry", "7.00 s"]


def test_the_picture_under_the_cursor_has_faces_and_attention(chromium, page):
    count = "(s) => document.querySelectorAll('#moments ' + s).length"
    parts = f"['image', 'rect.box', 'rect.heat'].map({count})"
    assert probe(chromium, page, f"return {parts}") == [1, 1, 49]
    click = "document.getElementById('next').click();"
    assert probe(chromium, page, f"{2 * click} return {parts}") == [1, 2, 98]


def test_curves_that_stay_low_are_left_out(chromium, page, record, summary, frame):
    results = [frame(i / 10, p1=SAD) for i in range(20)]
    low = tuple(0.99 if e == SAD else 0.0016 for e in Emotion)
    results = [
        replace(r, readings=tuple(replace(reading, probabilities=low) for reading in r.readings))
        for r in results
    ]
    recorder = record(results)
    write_report(page, summary | {"presence": recorder.presence()}, recorder)
    values = "[...document.querySelectorAll('[data-value]')].map((row) => row.dataset.value)"
    assert probe(chromium, page, f"return {values}") == [str(int(SAD)), "7"]


def test_the_page_does_not_scroll_sideways_on_a_phone(chromium, page):
    # headless Chromium has no window below 500 pixels, a frame can be narrower
    wrapper = page.with_name("phone.html")
    wrapper.write_text(f'<iframe src="{page.name}" width="390" height="800"></iframe>')
    script = (
        "<script>onload = () => { const d = document.querySelector('iframe').contentDocument;"
        "document.title = [d.documentElement.scrollWidth, d.documentElement.clientWidth,"
        "d.querySelector('.chart .row > svg').clientWidth] }</script>"
    )
    wrapper.write_text(wrapper.read_text() + script)
    flags = ("--allow-file-access-from-files", "--virtual-time-budget=2000", "--dump-dom")
    dom = chromium(*flags, wrapper.as_uri()).stdout
    scroll, client, chart = map(int, re.search("<title>(.*)</title>", dom)[1].split(","))
    assert scroll <= client <= 390
    assert chart > 180


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


def test_a_print_has_no_controls_and_keeps_its_colours(chromium, page):
    pdf = page.with_suffix(".pdf")
    chromium(f"--print-to-pdf={pdf}", page.as_uri())
    assert pdf.read_bytes().startswith(b"%PDF")
    style = (
        "const all = [...document.styleSheets[0].cssRules];"
        "const print = all.find((rule) => rule.media?.mediaText === 'print');"
        "return [...print.cssRules].map((rule) => rule.cssText).join(' ');"
    )
    rules = probe(chromium, page, style)
    for rule in ("print-color-adjust: exact", "break-inside: avoid", ".scripted #bar"):
        assert rule in rules


def test_the_index_has_a_row_for_each_bag(chromium, summary, tmp_path):
    presence = {"p1": [[0, 5, SAD], [5, 10, HAPPY]]}
    good = summary | {"bag": "bags/a b", "presence": presence}
    bad = {"bag": "bags/bad", "error": f"bags/bad: {HOSTILE}"}
    path = tmp_path / "index.html"
    links = {"bags/a b": "a%20b/report.html", "bags/bad": "bad/report.html"}
    path.write_text(index_page([good, bad], links), encoding="utf-8")
    rows = "[...document.querySelectorAll('tbody tr')].map((row) => row.innerText)"
    first, second = probe(chromium, path, f"return {rows}")
    assert "bags/a b" in first and "1 of 2 held" in first and "48 images" in first
    assert "onerror=fail()" in second
    target = "document.querySelector('a').getAttribute('href')"
    assert probe(chromium, path, f"return {target}") == "a%20b/report.html"


def test_a_long_name_breaks_at_its_marks_and_takes_a_phone_s_whole_width(
    chromium, summary, tmp_path
):
    name = "bags/recording_2026-11-27_of_a_robot_in_the_entrance_hall_of_building_seven.mcap"
    path = tmp_path / "index.html"
    path.write_text(index_page([summary | {"bag": name}], {}), encoding="utf-8")
    page = path.read_text()
    assert "entrance_<wbr>hall_<wbr>of_<wbr>building" in page
    widths = "['.bags td', 'main'].map((s) => document.querySelector(s).offsetWidth)"
    cell, whole = probe(chromium, path, f"return {widths}", "--window-size=520,900")
    assert cell > 0.8 * whole
