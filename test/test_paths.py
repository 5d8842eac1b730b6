# SPDX-License-Identifier: Apache-2.0
"""The folders of the package and of its user."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from caer_ros import paths
from caer_ros.paths import PathError, cache_folder, package_version, share_folder


def test_the_share_folder_has_models_config_and_messages() -> None:
    for name in ("models", "config/caer.yaml", "config/fastdds.xml", "msg", "launch"):
        assert (share_folder() / name).exists()


def test_a_lost_share_folder_is_no_matter_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "caer_ros" / "paths.py"))
    with pytest.raises(PathError, match="install caer_ros anew"):
        share_folder()


def test_the_version_is_the_installed_one() -> None:
    assert package_version() == version("caer_ros")


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "caer_ros"
    assert cache_folder().is_dir()


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "caer_ros"


def test_the_cache_can_be_put_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("~/here") == tmp_path / "here"


def test_a_folder_that_cannot_be_made_is_named_with_what_moves_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PathError, match=f"{tmp_path}/file/cache cannot be made.*engine.cache_dir"):
        cache_folder(str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(PathError, match="cannot be made.*XDG_CACHE_HOME"):
        cache_folder()
