# SPDX-License-Identifier: Apache-2.0
"""What the tests of this room share."""

import pytest


class Log:
    """A logger that keeps its lines."""

    def __init__(self):
        self.errors, self.warnings = [], []
        self.error, self.warning = self.errors.append, self.warnings.append


@pytest.fixture
def log():
    return Log()
