# SPDX-License-Identifier: Apache-2.0
"""PyPI `fer` as a contender of the benchmark, run by the Python of an environment of its own.

Its default: Haar cascade and the quantised TFLite network. That network is run by LiteRT, which
TensorFlow's own TFLite interpreter became, so that TensorFlow itself is not needed.
"""

# mypy: ignore-errors
# the imports below are those of the other environment

import json
import sys
import time
import types
from importlib.util import find_spec

import numpy as np
from ai_edge_litert.interpreter import Interpreter

tensorflow = types.ModuleType("tensorflow")
tensorflow.lite = types.SimpleNamespace(Interpreter=Interpreter)
keras = types.ModuleType("keras.models")
keras.load_model = None
sys.modules.update({"tensorflow": tensorflow, "keras": types.ModuleType("keras")})
sys.modules["keras.models"] = keras
# `fer.classes`, for videos, wants pandas and moviepy; pictures need `fer.fer` alone
spec = find_spec("fer")
package = types.ModuleType("fer")
package.__file__, package.__path__ = spec.origin, spec.submodule_search_locations
sys.modules["fer"] = package

from fer.fer import FER  # noqa: E402

count, height, width, channels = json.loads(sys.stdin.buffer.readline())
size = count * height * width * channels
frames = np.frombuffer(sys.stdin.buffer.read(size), np.uint8)
frames = frames.reshape(count, height, width, channels)
fer = FER()
done = 0
for line in sys.stdin.buffer:
    seconds = []
    for _ in range(int(line)):
        started = time.perf_counter()
        found = fer.detect_emotions(frames[done % count])
        seconds.append(time.perf_counter() - started)
        done += 1
    print(json.dumps({"seconds": seconds, "faces": len(found)}), flush=True)
