# SPDX-License-Identifier: Apache-2.0
"""Where this package's files lie, and where it keeps its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from caer_ros.types import CaerError


class PathError(CaerError):
    """A folder that is missing or cannot be written."""


def share_folder() -> Path:
    """Return the folder with `models/`, `config/`, `launch/`, `msg/` and `package.xml`.

    That is the checkout itself, else `share/caer_ros` of the prefix the package is installed in,
    found without ROS so that pip installs work too.

    Raises:
        PathError: where the installation has lost it.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent, parent / "share" / "caer_ros"):
            if (folder / "package.xml").is_file() and (folder / "models").is_dir():
                return folder
    raise PathError("the files of caer_ros (share/caer_ros) are missing; install caer_ros anew")


def package_version() -> str:
    """Return the version that `package.xml` names; pip and colcon install that file alike.

    Raises:
        PathError: where the installation has lost it.
    """
    text = (share_folder() / "package.xml").read_text(encoding="utf-8")
    return re.findall("<version>(.+)</version>", text)[0]


def cache_folder(cache_dir: str = "") -> Path:
    """Return the folder for what can be made again, made if it is not there.

    That is `cache_dir`, or where it is empty `caer_ros` in `$XDG_CACHE_HOME` or `~/.cache`.

    Raises:
        PathError: where it cannot be made or written.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "caer_ros"
    remedy = "set another engine.cache_dir" if cache_dir else "XDG_CACHE_HOME moves it"
    try:
        folder = (Path(cache_dir) if cache_dir else default).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    # RuntimeError: no home
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PathError(
            f"cache folder {cache_dir or default} cannot be made ({reason}); {remedy}"
        ) from error
    if not os.access(folder, os.W_OK):
        raise PathError(f"cache folder {folder} cannot be written; {remedy}")
    return folder
