# SPDX-License-Identifier: Apache-2.0
"""The live page of `caer watch --serve`: a page, and a socket that brings it frame after frame."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from base64 import b64encode
from collections import deque
from hashlib import sha256
from pathlib import Path
from re import DOTALL, findall
from typing import Any

import cv2
import numpy as np
from aiohttp import WSMsgType, web

from caer_ros.drawing import COLOURS, draw_readings, person_colour
from caer_ros.perception.pipeline import EmotionPipeline
from caer_ros.replay.stream import Sink, Step
from caer_ros.types import LABELS, SECOND, CaerError, Reading

LONGEST = 1280
"""Longer edge in pixels of a picture that is sent."""

_RATE = 30
"""Frames over which the rate that the page shows is measured."""


class ServerError(CaerError):
    """A page that cannot be served."""


class _Viewer:
    """An open page: what waits to be sent to it, the newest frame of each camera."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.frames: dict[str, bytes] = {}
        self.states: list[str] = []
        self.filled = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready.set()


class LivePage(Sink):
    """Serves the page to any number of browsers, in a thread of its own: a context manager.

    A browser gets the newest frame once it has drawn the one before, so a slow one lags by no
    more than that and holds nothing up. Pages of other sites get nothing: a browser names the
    site that asks in `Origin`, which has to be this one, and the `Host` has to be one of ours.

    Args:
        host, port: where to listen; port 0 takes a free one. url: where that is.

    Raises:
        ServerError: where the port is taken or the host is none of this machine's.
    """

    def __init__(
        self, host: str, port: int, name: str, live: bool, pipeline: EmotionPipeline
    ) -> None:
        self._host, self._port = host, port
        self._page = (Path(__file__).parent / "live.html").read_text(encoding="utf-8")
        self._policy = _policy(self._page)
        spec, engine = pipeline.engine.spec, pipeline.engine
        self._hello = {
            "name": name,
            "live": live,
            "labels": LABELS,
            "colours": [_hex(colour) for colour in COLOURS],
            # the part of the frame that the context stream sees
            "scene": spec.scene_part,
            "streams": spec.streams,
            "trained": bool(spec.trained),
            "reader": f"{pipeline.settings.engine.weights} on {engine.name} "
            f"({engine.device}, {engine.precision})",
        }
        self._state: dict[str, Any] = {"paused": False, "ended": False}
        self._viewers: set[_Viewer] = set()
        self._running = threading.Event()
        self._running.set()
        self._taken: deque[float] = deque(maxlen=_RATE)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="caer_page", daemon=True
        )

    def __enter__(self) -> LivePage:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except OSError as error:
            self._end_loop()
            raise ServerError(
                f"cannot serve on {self._host}:{self._port}: {error.strerror or error}; "
                "--serve 0 takes a free port"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._running.set()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._end_loop()

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    def wait_while_paused(self, stopped: threading.Event) -> None:
        """Return once no browser has paused, or `stopped` is set."""
        while not self._running.wait(0.2) and not stopped.is_set():
            pass

    def take(self, step: Step) -> None:
        """Send a frame's answer to every open page; without one, nothing is drawn."""
        self._taken.append(time.monotonic())
        if self._viewers:
            message = self._encode(step)
            self._loop.call_soon_threadsafe(self._spread, step.result.camera, message)

    def end(self) -> None:
        """Tell every page that no frame will come any more."""
        self._loop.call_soon_threadsafe(self._change, {"ended": True})

    def _encode(self, step: Step) -> bytes:
        """Return length of the JSON (uint32, big endian), JSON, JPEG."""
        result = step.result
        drawn = draw_readings(step.image.pixels, result.readings)
        shrink = LONGEST / max(drawn.shape[:2])
        if shrink < 1:
            drawn = cv2.resize(drawn, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        elapsed = self._taken[-1] - self._taken[0]
        values = {
            "camera": result.camera,
            "time": step.time / SECOND,
            "fps": (len(self._taken) - 1) / elapsed if elapsed else 0,
            "size": [result.width, result.height],
            "persons": [_person(reading) for reading in result.readings],
        }
        text = json.dumps(values, separators=(",", ":")).encode()
        return struct.pack(">I", len(text)) + text + jpeg

    # ---- what follows runs in the thread of the loop -------------------------------------------

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/", self._serve_page)
        app.router.add_get("/frames", self._serve_frames)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        for viewer in list(self._viewers):
            await viewer.socket.close()
        await self._runner.cleanup()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve_page(self, request: web.Request) -> web.Response:
        self._check_host(request)
        headers = {
            "Content-Security-Policy": self._policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        return web.Response(text=self._page, content_type="text/html", headers=headers)

    async def _serve_frames(self, request: web.Request) -> web.WebSocketResponse:
        self._check_host(request)
        if request.headers.get("Origin") != f"http://{request.host}":
            raise web.HTTPForbidden(text="only this page may ask for frames")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=1024)
        await socket.prepare(request)
        viewer = _Viewer(socket)
        await socket.send_str(json.dumps({"hello": self._hello, "state": self._state}))
        self._viewers.add(viewer)
        sender = asyncio.ensure_future(self._send(viewer))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._hear(viewer, message.data)
        finally:
            self._viewers.discard(viewer)
            sender.cancel()
            if not self._viewers:  # nobody is left who could go on
                self._change({"paused": False})
        return socket

    def _check_host(self, request: web.Request) -> None:
        """Refuse a name that another site has made to mean this machine (DNS rebinding)."""
        local = ("127.0.0.1", "[::1]", "localhost")
        allowed = {f"{host}:{self._port}" for host in (*local, self._host)}
        everywhere = self._host in ("0.0.0.0", "::")
        if request.host not in allowed and not everywhere:
            raise web.HTTPForbidden(text=f"this page is at {self.url}")

    def _hear(self, viewer: _Viewer, text: str) -> None:
        if text == "ready":
            viewer.ready.set()
        elif text in ("pause", "go"):
            self._change({"paused": text == "pause"})

    def _change(self, state: dict[str, Any]) -> None:
        self._state |= state
        (self._running.clear if self._state["paused"] else self._running.set)()
        for viewer in self._viewers:
            viewer.states.append(json.dumps({"state": self._state}))
            viewer.filled.set()

    def _spread(self, camera: str, message: bytes) -> None:
        for viewer in self._viewers:
            viewer.frames[camera] = message
            viewer.filled.set()

    async def _send(self, viewer: _Viewer) -> None:
        while True:
            await viewer.filled.wait()
            viewer.filled.clear()
            states, viewer.states = viewer.states, []
            for state in states:
                await viewer.socket.send_str(state)
            while viewer.frames and not viewer.states:
                await viewer.ready.wait()
                viewer.ready.clear()
                # the camera that waits longest
                camera = next(iter(viewer.frames))
                await viewer.socket.send_bytes(viewer.frames.pop(camera))


def _person(reading: Reading) -> dict[str, Any]:
    face = reading.face
    attention = reading.attention
    return {
        "id": reading.person_id,
        "colour": _hex(person_colour(reading.person_id)),
        "face": [round(value, 1) for value in (face.x1, face.y1, face.x2, face.y2)],
        "label": int(reading.emotion),
        "probabilities": [round(value, 3) for value in reading.probabilities],
        "weights": [round(reading.face_weight, 3), round(reading.context_weight, 3)],
        "attention": None if attention is None else np.round(attention, 4).tolist(),
    }


def _hex(colour: tuple[int, int, int]) -> str:
    blue, green, red = colour
    return f"#{red:02x}{green:02x}{blue:02x}"


def _policy(page: str) -> str:
    """Return a Content-Security-Policy: the page's own script and style, and nothing else."""

    def hashes(tag: str) -> str:
        parts = findall(f"<{tag}>(.*?)</{tag}>", page, DOTALL)
        return " ".join(
            f"'sha256-{b64encode(sha256(part.encode()).digest()).decode()}'" for part in parts
        )

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
