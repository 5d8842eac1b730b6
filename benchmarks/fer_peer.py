# SPDX-License-Identifier: Apache-2.0
"""PyPI `fer` with its defaults as a candidate of `peers.py`, by the Python of its own environment.

Its default is a Haar cascade and a quantised network that TensorFlow's TFLite interpreter runs.
"""

# mypy: ignore-errors
# the import of fer is that of the other environment

from fer.fer import FER
from peer import serve

serve(lambda: FER().detect_emotions)
