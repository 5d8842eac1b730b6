# SPDX-License-Identifier: Apache-2.0
"""The live page, in a real browser."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import chain, repeat
from types import SimpleNamespace
from urllib.request import Request, urlopen

import aiohttp
import cv2
import numpy as np
import pytest

from caer_ros.network.spec import NetworkSpec
from caer_ros.replay.stream import Image, Step
from caer_ros.types import LABELS, SECOND, CaerError, Emotion, Face, FrameResult, Reading
from caer_ros.viewer.server import LivePage

HOSTILE = "</script><img src=x onerror=alert(1)>"


@contextmanager
def serving(name="talk.mp4", streams="both", live=False):
    """Yield a page that nobody feeds yet."""
    spec = NetworkSpec(architecture="caer_net_s", streams=streams)
    engine = SimpleNamespace(spec=spec, name="openvino", device="CPU", precision="f32")
    settings = SimpleNamespace(engine=SimpleNamespace(weights="caer_net_s"))
    pipeline = SimpleNamespace(engine=engine, settings=settings)
    with LivePage("127.0.0.1", 0, name, live, pipeline) as page:
        yield page


def step(seconds, camera="talk.mp4", **persons):
    """Return the answer to a grey picture at a time: a person's emotion by id."""
    attention = np.zeros((7, 7), np.float32)
    attention[6, 0] = 1
    readings = tuple(
        Reading(
            person_id=person,
            face=Face(100 + 200 * i, 120, 200 + 200 * i, 240, 0.9),
            emotion=emotion,
            confidence=0.7,
            probabilities=tuple(0.7 if e == emotion else 0.05 for e in Emotion),
            face_weight=0.75,
            context_weight=0.25,
            frames=1,
            clip_duration=0,
            since=0,
            attention=attention,
        )
        for i, (person, emotion) in enumerate(persons.items())
    )
    result = FrameResult(camera, round(seconds * SECOND), 640, 480, readings)
    picture = np.full((480, 640, 3), 120, np.uint8)
    return Step(result, Image(result.stamp, "", picture), 0.01, result.stamp, [], readings, [])


@contextmanager
def fed(page, steps):
    """Send steps, 20 a second, the last one again and again until the block ends."""
    done = threading.Event()

    def feed():
        for one in chain(steps, repeat(steps[-1])):
            page.take(one)
            if done.wait(0.05):
                return

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def minute():
    """Return a minute of two persons, one turning from sad to happy, the other coming late."""
    steps = []
    for i in range(120):
        persons = {"p0001": Emotion.SAD if i < 70 else Emotion.HAPPY}
        if i > 40:
            persons["p0002"] = Emotion.NEUTRAL
        steps.append(step(i / 2, **persons))
    return steps


def test_the_page_shows_picture_persons_and_their_last_minute(browser, tmp_path):
    with serving() as page, fed(page, minute()):
        browser.open(page.url)
        shown = "document.querySelectorAll('.card').length === 2"
        browser.wait(f"{shown} && document.body.innerText.includes('happy 70 %')")
        text = browser.run("document.body.innerText")
        for words in ("talk.mp4", "caer_net_s on openvino", "frames/s", "p0002", "attention map"):
            assert words in text
        assert "the face only" not in text
        # boxes are drawn by the server, at the picture's own size
        size = "(c => [c.width, c.height])(document.querySelector('figure canvas'))"
        assert browser.run(size) == [640, 480]
        browser.picture(tmp_path / "light.png")
        browser.picture(tmp_path / "dark.png", dark=True)
        assert browser.errors == []
    light, dark = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("light", "dark"))
    assert light[5, 5].mean() > 200
    assert dark[5, 5].mean() < 60
    # the bar of happy, in its colour
    assert (np.abs(light.astype(int) - (66, 228, 240)).max(axis=2) < 8).sum() > 500


def test_the_strip_has_the_labels_at_their_times(browser):
    with serving() as page:
        browser.open(page.url)
        browser.wait("document.getElementById('name').textContent === 'talk.mp4'")
        for one in minute():
            page.take(one)
            # each is drawn before the next one comes
            browser.wait(
                f"document.getElementById('rate').textContent.includes"
                f"(' {one.time / SECOND:.1f} s')"
            )
        colours = browser.run(
            """(canvas => [...Array(60).keys()].map(second => {
              const x = Math.floor((second + 0.75) / 60 * canvas.width);
              const y = Math.floor(64 / canvas.clientHeight * canvas.height);
              return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3).join();
            }))(document.querySelector('.card canvas'))"""
        )
    sad, happy = "0,114,178", "240,228,66"
    # now is 59.5 s, so the strip begins at -0.5 s
    assert colours[2:34] == [sad] * 32
    assert colours[37:58] == [happy] * 21


def test_the_attention_map_lies_where_it_was(browser):
    with serving() as page, fed(page, minute()[-20:]):
        browser.open(page.url)
        browser.wait("document.querySelectorAll('.card').length === 2")
        browser.run("document.getElementById('attention').click()")
        pixel = (
            "(p => p[0] > p[2] + 60 && [...p])(document.querySelector('figure canvas')"
            ".getContext('2d').getImageData({}, {}, 1, 1).data)"
        )
        # row 6, column 0 of seven, in the middle part of the picture
        x, y = (
            int(v)
            for v in browser.run(
                "[640 * (0.5 + hello.scene[0] * (0.5 / 7 - 0.5)),"
                " 480 * (0.5 + hello.scene[1] * (6.5 / 7 - 0.5))]"
            )
        )
        assert browser.wait(pixel.format(x, y))
        assert not browser.run(pixel.format(640 - x, y))
        browser.run("document.getElementById('attention').click()")
        browser.wait("!" + pixel.format(x, y))


def test_weights_without_a_scene_say_so_and_offer_no_map(browser):
    with serving(streams="face") as page, fed(page, minute()[:2]):
        browser.open(page.url)
        browser.wait("document.querySelector('.card') !== null")
        assert "which reads the face only" in browser.run("document.body.innerText")
        assert browser.run("getComputedStyle(document.getElementById('where')).display") == "none"


def test_without_script_the_page_says_what_it_lacks_and_not_that_nobody_is_seen(browser):
    with serving() as page, fed(page, minute()[:2]):
        browser.open("about:blank")
        browser.allow_scripts(False)
        try:
            browser.open(page.url)
            browser.wait("document.body.innerText.includes('needs JavaScript')")
            assert "Nobody" not in browser.run("document.body.innerText")
        finally:
            browser.allow_scripts(True)


def test_pause_stops_the_reading_and_goes_on(browser):
    with serving() as page, fed(page, minute()):
        browser.open(page.url)
        browser.wait("document.querySelector('.card') !== null")
        assert not page.paused
        browser.run("document.getElementById('pause').click()")
        browser.wait("document.getElementById('state').textContent === 'paused'")
        assert page.paused
        browser.run(
            "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: ' ', bubbles: true}))"
        )
        browser.wait("document.getElementById('pause').textContent === 'Pause'")
        assert not page.paused
        browser.run("document.getElementById('pause').click()")
        browser.wait("document.getElementById('state').textContent === 'paused'")
        stopped = threading.Event()
        waiting = threading.Thread(target=page.wait_while_paused, args=(stopped,))
        waiting.start()
        browser.open("about:blank")  # nobody is left who could go on
        waiting.join(60)
        assert not waiting.is_alive()


def test_names_from_outside_are_text(browser):
    with serving(name=HOSTILE) as page, fed(page, [step(0, HOSTILE, **{HOSTILE: Emotion.SAD})]):
        browser.open(page.url)
        browser.wait("document.querySelector('.card') !== null")
        assert browser.run("document.querySelectorAll('img').length") == 0
        assert HOSTILE in browser.run("document.querySelector('.card').textContent")
        assert browser.run("document.getElementById('name').textContent") == HOSTILE


def test_the_policy_keeps_foreign_script_and_addresses_out(browser):
    with serving() as page:
        browser.open(page.url)
        browser.wait("document.getElementById('name').textContent === 'talk.mp4'")
        browser.errors.clear()
        browser.run(
            "(script => { script.textContent = 'window.hit = 1'; document.body.append(script) })"
            "(document.createElement('script'))"
        )
        assert browser.run("window.hit") is None
        away = "fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"
        assert browser.run(away) == "refused"
        assert sum("Content Security Policy" in error for error in browser.errors) >= 2


def test_the_page_asks_for_nothing_from_elsewhere():
    with serving() as page, urlopen(page.url) as answer:
        text, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert re.findall(r"""(?:src|href)=|https?://|@import|url\(""", text) == []
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_pages_of_other_sites_get_nothing():
    async def connect(url, **headers):
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(f"{url}frames", headers=headers) as socket:
                    return (await socket.receive_json())["hello"]["name"]
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    with serving() as page:
        own = page.url.rstrip("/")
        assert asyncio.run(connect(page.url, Origin=own)) == "talk.mp4"
        assert asyncio.run(connect(page.url, Origin="http://evil.example")) == 403
        assert asyncio.run(connect(page.url)) == 403
        # a name that another site lets mean this machine
        rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
        assert asyncio.run(connect(page.url, **rebound)) == 403
        with pytest.raises(OSError, match="403"):
            urlopen(Request(page.url, headers={"Host": "evil.example"}))


def test_a_port_that_is_taken_is_named():
    with serving() as page:
        port = int(page.url.split(":")[2].rstrip("/"))
        with pytest.raises(CaerError, match=f"127.0.0.1:{port}.*--serve 0"):
            LivePage("127.0.0.1", port, "x", True, page_pipeline()).__enter__()


def page_pipeline():
    with serving() as page:
        return SimpleNamespace(
            engine=SimpleNamespace(
                spec=NetworkSpec(architecture="caer_net_s", streams="face"),
                name=page.url,
                device="CPU",
                precision="f32",
            ),
            settings=SimpleNamespace(engine=SimpleNamespace(weights="caer_net_s")),
        )


def test_nobody_watching_costs_no_picture(monkeypatch):
    with serving() as page:
        monkeypatch.setattr(page, "_encode", lambda step: pytest.fail("drawn for nobody"))
        page.take(step(0, p0001=Emotion.SAD))


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_screen(browser, width):
    with serving() as page, fed(page, minute()):
        browser.open(page.url, width=width)
        browser.wait("document.querySelectorAll('.card').length === 2")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.querySelector('.card').clientWidth") > 300


def test_watch_serves_a_film_to_its_end(film, browser, tmp_path):
    command = [sys.executable, "-m", "caer_ros.cli", "watch", str(film), "--serve", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
        browser.open(url)
        browser.wait("document.getElementById('state').textContent === 'at its end'")
        assert browser.run("document.getElementById('name').textContent") == str(film)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "images: 36 processed" in rest
    browser.wait("document.getElementById('state').textContent === 'caer watch has ended'")


def test_every_label_has_its_row_and_colour():
    with serving() as page:
        assert tuple(page._hello["labels"]) == LABELS
        assert len(set(page._hello["colours"])) == 7
