# SPDX-License-Identifier: Apache-2.0
import pytest

from caer_ros.engines.base import EngineError
from caer_ros.engines.cache import cache_folder, cache_name


def test_the_cache_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("") == tmp_path / ".cache" / "caer_ros"
    assert cache_folder("").is_dir()


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("") == tmp_path / "caer_ros"


def test_the_cache_can_be_put_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("~/here") == tmp_path / "here"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match=f"{tmp_path}/file/cache cannot be made.*cache_dir"):
        cache_folder(str(tmp_path / "file" / "cache"))


def test_a_name_changes_with_the_weights_and_with_each_condition(tmp_path):
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"one")
    names = [
        cache_name(weights, ".pt2", gpu="Orin", precision="f16"),
        cache_name(weights, ".pt2", gpu="Orin", precision="f32"),
        cache_name(weights, ".pt2", gpu="H200", precision="f16"),
    ]
    assert cache_name(weights, ".pt2", precision="f16", gpu="Orin") == names[0]
    weights.write_bytes(b"two")
    names.append(cache_name(weights, ".pt2", gpu="Orin", precision="f16"))
    assert len(set(names)) == 4
    assert all(name.startswith("net-") and name.endswith(".pt2") for name in names)
