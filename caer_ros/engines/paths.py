# SPDX-License-Identifier: Apache-2.0
"""Where the package's weights lie, in a checkout and once installed."""

from __future__ import annotations

from pathlib import Path

from caer_ros.network.spec import WeightsError


def share_folder() -> Path:
    """Return the folder that holds `models/` and `config/`.

    That is the checkout itself, else `share/caer_ros` of the prefix the package is installed in,
    found without ROS so that pip installs work too.
    """
    for parent in Path(__file__).resolve().parents:
        if (parent / "package.xml").is_file() and (parent / "models").is_dir():
            return parent
        if (parent / "share" / "caer_ros" / "models").is_dir():
            return parent / "share" / "caer_ros"
    raise WeightsError("the package's models/ folder is missing; install caer_ros anew")


def resolve_weights(name_or_path: str) -> Path:
    """Return the checkpoint that a name such as `caer_net_s`, or a path, stands for.

    Raises:
        WeightsError: naming the networks that come with the package.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    models = share_folder() / "models"
    if (models / f"{name_or_path}.safetensors").is_file():
        return models / f"{name_or_path}.safetensors"
    known = ", ".join(sorted(found.stem for found in models.glob("*.safetensors")))
    raise WeightsError(
        f"weights {name_or_path!r} are neither a file nor a network of the package ({known})"
    )
