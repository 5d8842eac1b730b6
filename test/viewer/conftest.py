# SPDX-License-Identifier: Apache-2.0
"""A real browser, a short film, and a camera in the network."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from caer_ros.demo.material import VIDEO


class Browser:
    """Headless Chromium, steered by its DevTools protocol."""

    def __init__(self, program: str, profile: Path) -> None:
        self._profile = profile
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._process = subprocess.Popen(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--autoplay-policy=no-user-gesture-required",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr
        for line in self._process.stderr:
            if found := re.search(r"listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError("Chromium did not start")
        self._address = found[1]
        self._session: aiohttp.ClientSession | None = None

    def close(self) -> None:
        if self._session:
            self._loop.run_until_complete(self._session.close())
        self._loop.close()
        self._process.terminate()
        self._process.wait()

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Load a page into a window of that size; its errors are collected."""
        self.errors: list[str] = []
        if not self._session:
            self._loop.run_until_complete(self._connect())
            for method in ("Page.enable", "Runtime.enable", "Log.enable"):
                self._ask(method)
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self._ask("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Return what a JavaScript expression, or a promise, comes to."""
        answer = self._evaluate(script)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """Return what an expression comes to once that is true; it may fail until then."""
        end = time.monotonic() + seconds
        while not (value := self._evaluate(script)["result"].get("value")):
            assert time.monotonic() < end, f"not so after {seconds} s: {script}"
            time.sleep(0.1)
        return value

    def _evaluate(self, script: str) -> dict[str, Any]:
        return self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )

    def allow_scripts(self, allowed: bool) -> None:
        """Say whether pages that are opened from now on may run theirs."""
        self._ask("Emulation.setScriptExecutionDisabled", value=not allowed)

    def picture(self, path: Path, dark: bool = False) -> None:
        """Write a picture of the window as PNG."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        data = self._ask("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession()
        port = re.search(r":(\d+)/", self._address)[1]  # type: ignore[index]
        new = f"http://127.0.0.1:{port}/json/new"
        async with self._session.put(new) as answer:
            page = (await answer.json())["webSocketDebuggerUrl"]
        self._socket = await self._session.ws_connect(page, max_msg_size=0)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(
            asyncio.wait_for(self._exchange(method, parameters), 60)
        )

    async def _exchange(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads(await self._socket.receive_str())
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
            if message.get("method") == "Log.entryAdded":
                self.errors.append(message["params"]["entry"]["text"])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def film(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the demo video's first 1.5 seconds: one person, 36 images of 640x360."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    video = cv2.VideoCapture(str(material / VIDEO))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 24, (640, 360))
    for _ in range(36):
        writer.write(video.read()[1])
    writer.release()
    return path


class Stream:
    """A camera in the network: sends one JPEG again and again to whoever asks, 20 a second."""

    def __init__(self, image: np.ndarray) -> None:
        self._jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/camera.mjpg"

    def start(self) -> None:
        jpeg, running = self._jpeg, threading.Event()
        running.set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server's name
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
                try:
                    while running.is_set():
                        self.wfile.write(head.encode() + b"\r\n" + jpeg + b"\r\n")
                        time.sleep(0.05)
                except OSError:
                    pass  # the reader has gone

            def log_message(self, *_: object) -> None:
                pass

        self._running = running
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._running.clear()
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def stream(film: Path) -> Iterator[Stream]:
    """Return a camera in the network that shows the film's first image."""
    stream = Stream(cv2.VideoCapture(str(film)).read()[1])
    yield stream
    stream.stop()


@pytest.fixture
def film_address(film: Path) -> Iterator[str]:
    """Return the address of the film on a web server, which gives parts as they are asked for."""
    data = film.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server's name
            begin = int(re.findall(r"\d+", self.headers.get("Range", "0"))[0])
            self.send_response(206)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - begin))
            self.end_headers()
            with suppress(OSError):  # the reader has what it needs
                self.wfile.write(data[begin:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{film.name}"
    server.shutdown()
    server.server_close()
