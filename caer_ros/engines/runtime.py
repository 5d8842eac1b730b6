# SPDX-License-Identifier: Apache-2.0
"""OpenVINO, imported so that it does not report home: the one place that imports it.

Its import would write a lasting random id to `~/intel/openvino_ga_cid` and send an event to an
analytics service. Both are done by a module of its own, which it does without where there is none.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast

# None means to Python's import that there is no such module
sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))

import openvino as ov  # noqa: E402
import openvino.opset13 as ops  # noqa: E402
import openvino.preprocess  # noqa: E402, F401 - loaded as ov.preprocess

__all__ = ["ops", "ov"]
