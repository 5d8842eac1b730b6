# SPDX-License-Identifier: Apache-2.0
"""Text from outside, made fit to be shown."""

from __future__ import annotations


def printable(text: str, limit: int = 300) -> str:
    r"""Return foreign text in one line for a log, a terminal or the diagnostics.

    Control characters, such as those a terminal obeys, become escapes (`\x1b`); what is longer
    than `limit` characters is cut in the middle, and says how long it was.
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]} … {text[-half:]} ({len(text)} characters)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
