# SPDX-License-Identifier: Apache-2.0
import pytest

from caer_ros.network.spec import WeightsError, resolve_weights
from caer_ros.paths import share_folder


@pytest.mark.parametrize("name", ["caer_net_s", "caer_net_s_scene", "caer_net"])
def test_a_name_stands_for_a_network_of_the_package(name):
    assert resolve_weights(name) == share_folder() / "models" / f"{name}.safetensors"
    assert resolve_weights(name).is_file()


def test_a_path_stands_for_itself(tmp_path, monkeypatch):
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(weights), "mine.safetensors", "~/mine.safetensors"):
        assert resolve_weights(path) == weights


def test_what_is_neither_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(
        WeightsError, match=r"neither a file nor .* \(caer_net, caer_net_s, caer_net_s_scene\)"
    ):
        resolve_weights(str(tmp_path))
