# SPDX-License-Identifier: Apache-2.0
"""Which of its two names Fast DDS reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from caer_ros.ros.fast_dds import profile_variable


def install(prefix: Path, *packages: str) -> str:
    """Make a prefix with these packages in it."""
    for package in packages:
        (prefix / "share" / package / "cmake").mkdir(parents=True)
    return str(prefix)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("fastrtps", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("fastdds", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_what_is_installed_decides_not_the_distribution_that_is_named(
    package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = install(tmp_path / "overlay", "caer_ros")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{overlay}:{install(tmp_path / 'ros', package)}")
    monkeypatch.setenv("ROS_DISTRO", "other")
    variable, path = profile_variable()
    assert variable == name
    assert "<profiles>" in Path(path).read_text()


def test_an_environment_with_the_wheels_needs_nothing_sourced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr("sys.prefix", install(tmp_path, "fastrtps"))
    assert profile_variable()[0] == "FASTRTPS_DEFAULT_PROFILES_FILE"
