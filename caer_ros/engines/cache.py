# SPDX-License-Identifier: Apache-2.0
"""Where converted and compiled networks are kept, and under which names.

A name holds all that the file depends on, so that a stale file is never read, only left behind.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from caer_ros.engines.base import EngineError
from caer_ros.network.spec import export_name


def cache_folder(cache_dir: str) -> Path:
    """Return the cache folder, made if it is not there; an empty `cache_dir` means the user's own.

    Raises:
        EngineError: where it cannot be written.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "caer_ros"
    folder = (Path(cache_dir) if cache_dir else default).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(
            f"cache folder {folder} cannot be made ({error}); set cache_dir"
        ) from error
    if not os.access(folder, os.W_OK):
        raise EngineError(
            f"cache folder {folder} cannot be written; set cache_dir to one that can"
        )
    return folder


def cache_name(weights: Path, suffix: str, **key: object) -> str:
    """Return a file name for what is made of `weights` under the conditions `key`.

    Stem and hash of the weights stay readable, the conditions are hashed.
    """
    conditions = "\n".join(f"{name}={value}" for name, value in sorted(key.items()))
    digest = hashlib.sha256(conditions.encode()).hexdigest()[:16]
    return f"{export_name(weights)}-{digest}{suffix}"
