# SPDX-License-Identifier: Apache-2.0
"""Where the processor's time goes, image by image, alone and inside the real node."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.types import Frame, FrameResult

INFERENCE = ("detector", "network")
"""Steps that the engine's threads take part in."""

WARM_UP = 60
"""Images not counted: clips fill, buffers and caches grow to their size."""


def _clock() -> np.ndarray:
    """Return seconds of all threads of the process, and of the calling one."""
    return np.array([time.process_time(), time.thread_time()])


class AccountingPipeline(EmotionPipeline):
    """The pipeline, and the processor time of its process by what took it.

    An inference counts with all threads of the process, everything else with the thread that does
    it. What the engine's threads take outside inferences is `waiting`: those of OpenVINO (TBB)
    look out for more work for up to a millisecond before they sleep. The first `WARM_UP` images
    do not count.
    """

    _images = 0
    _before: set[int]

    @classmethod
    def from_settings(
        cls,
        settings: PipelineSettings,
        ids: Iterator[str] | None = None,
        clock: Callable[[], Any] = _clock,
    ) -> AccountingPipeline:
        before = _threads()
        self = super().from_settings(settings, ids, clock)
        assert isinstance(self, cls)
        self._before = before
        return self

    def process(self, frames: Sequence[Frame]) -> list[FrameResult]:
        if self._images <= WARM_UP:
            # torch makes some of its threads only when the thread that will use them does
            self._engine_threads = _threads() - self._before - {threading.get_native_id()}
            self._spent = dict.fromkeys((*INFERENCE, "crops", "rest", "waiting"), 0.0)
            self._started, self._skipped = self._totals(), self._images
        started = _clock()
        results = super().process(frames)
        rest = (_clock() - started)[1]
        for result in results:
            for step in (*INFERENCE, "crops"):
                # what `_clock` counted, unless the step was not needed
                everywhere, here = np.broadcast_to(result.seconds.get(step, 0.0), 2)
                rest -= here
                self._spent[step] += everywhere if step in INFERENCE else here
                self._spent["waiting"] -= everywhere - here if step in INFERENCE else 0.0
        self._spent["rest"] += rest
        self._images += len(results)
        self._ended = self._totals()
        return results

    def cpu_ms(self) -> dict[str, float]:
        """Return the milliseconds an image took, in `total` and by its parts.

        `rest` is tracking, clips and smoothing; `transport` what the process takes beyond the
        pipeline and the engine's threads.
        """
        total, inference = self._ended - self._started
        spent = {**self._spent, "total": total}
        spent["waiting"] += inference
        spent["transport"] = total - sum(self._spent.values()) - inference
        images = self._images - self._skipped
        return {name: 1e3 * float(seconds) / images for name, seconds in spent.items()}

    def _totals(self) -> np.ndarray:
        """Return seconds of the whole process and of the engine's threads alone."""
        # the clock of another thread of this process, as pthread_getcpuclockid(3) numbers it
        clocks = (~thread << 3 | 6 for thread in self._engine_threads)
        return np.array([time.process_time(), sum(map(time.clock_gettime, clocks))])


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def main() -> int:
    """Run the node, and write where its time went to the file named first, as JSON, at its end."""
    from caer_ros.ros.main import main as run

    output = Path(sys.argv.pop(1))

    class NotingPipeline(AccountingPipeline):
        def close(self) -> None:
            output.write_text(json.dumps(self.cpu_ms()))
            super().close()

    return run(pipeline=NotingPipeline)


if __name__ == "__main__":
    sys.exit(main())
