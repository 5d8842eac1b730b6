# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest

from caer_ros.engines.base import Batch, EngineError
from caer_ros.engines.openvino import MOST_SCENES, OpenVinoEngine, find_fault, find_onnx
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.export import export_onnx
from caer_ros.network.spec import is_export_of, read_spec

from .conftest import SPECS, largest_difference

HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture
def load(tmp_path):
    def make(weights, **settings):
        settings = {"precision": "f32", "threads": 1, "cache_dir": str(tmp_path), **settings}
        return OpenVinoEngine(weights, EngineSettings(**settings))

    return make


@pytest.mark.parametrize("kind", SPECS)
def test_it_agrees_with_eager_torch(kind, checkpoint, crops, eager, load):
    weights = checkpoint(kind)
    batch = crops(SPECS[kind], persons=4, scenes=2)
    expected = eager(weights, batch)
    assert np.ptp(expected.probabilities, axis=0).max() > 2e-3  # persons are told apart
    assert largest_difference(load(weights).infer(batch), expected) < 1e-4


@pytest.mark.skipif(not HAS_BF16, reason="this CPU does not compute in bf16")
@pytest.mark.parametrize("kind", SPECS)
def test_bf16_stays_within_two_hundredths(kind, checkpoint, crops, eager, load):
    weights = checkpoint(kind)
    batch = crops(SPECS[kind], persons=4, scenes=2)
    engine = load(weights, precision="bf16")
    assert engine.precision == "bf16"
    assert 0 < largest_difference(engine.infer(batch), eager(weights, batch)) < 2e-2


def test_auto_computes_in_nothing_the_processor_would_emulate(checkpoint, load):
    auto = load(checkpoint("face"), precision="auto").precision
    assert auto == "bf16" if HAS_BF16 else auto in ("f32", "f16")
    if not HAS_BF16:
        with pytest.raises(EngineError, match=r"precision bf16 is not one of this CPU's"):
            load(checkpoint("face"), precision="bf16")


@pytest.mark.parametrize("kind", ["both", "conditioned"])
def test_a_person_gets_the_same_numbers_whoever_else_is_there(kind, checkpoint, crops, load):
    engine = load(checkpoint(kind))
    batch = crops(SPECS[kind], persons=5, scenes=2)
    together = engine.infer(batch)
    for person, part in enumerate(batch.split(1)):
        alone = engine.infer(part)
        np.testing.assert_array_equal(alone.probabilities[0], together.probabilities[person])
        np.testing.assert_array_equal(alone.attention[0], together.attention[person])


@pytest.mark.parametrize("kind", ["both", "context"])
def test_a_scene_that_comes_again_is_not_read_again(kind, checkpoint, crops, load, monkeypatch):
    engine = load(checkpoint(kind))
    batch, other = (crops(SPECS[kind], persons=3, scenes=3, seed=seed) for seed in (0, 1))
    first = engine.infer(batch)
    engine.infer(other)
    runs = []

    class Counted:
        def infer(self, *arguments, **named):
            runs.append(arguments)
            return scene.infer(*arguments, **named)

    scene = engine._scene
    monkeypatch.setattr(engine, "_scene", Counted())
    assert largest_difference(engine.infer(batch), first) == 0
    assert not runs
    engine.infer(crops(SPECS[kind], persons=3, scenes=3, seed=2))
    assert len(runs) == 3


def test_no_more_scenes_are_kept_than_may_be(checkpoint, crops, load):
    engine = load(checkpoint("both"))
    for seed in range(MOST_SCENES + 3):
        engine.infer(crops(SPECS["both"], persons=1, seed=seed))
    assert len(engine._kept) == MOST_SCENES


def test_threads_do_not_change_the_numbers(checkpoint, crops, load):
    batch = crops(SPECS["both"], persons=3)
    one, two = (load(checkpoint("both"), threads=n).infer(batch) for n in (1, 2))
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


def test_an_answer_is_not_overwritten_by_the_next(checkpoint, crops, load):
    engine = load(checkpoint("both"))
    first = engine.infer(crops(SPECS["both"], persons=1, seed=1))
    kept = first.probabilities.copy(), first.attention.copy()
    engine.infer(crops(SPECS["both"], persons=1, seed=2))
    np.testing.assert_array_equal(first.probabilities, kept[0])
    np.testing.assert_array_equal(first.attention, kept[1])


def test_crops_may_be_read_only_or_strided(checkpoint, crops, load):
    engine = load(checkpoint("both"))
    batch = crops(SPECS["both"], persons=2)
    faces, contexts, index = batch.arrays
    expected = engine.infer(batch)
    faces.flags.writeable = False
    strided = np.repeat(contexts, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(
        engine.infer(Batch(faces, strided, index)).probabilities, expected.probabilities
    )


def test_the_onnx_beside_a_checkpoint_is_used_as_it_is(checkpoint, tmp_path):
    weights = checkpoint("face")
    assert find_onnx(weights, str(tmp_path)) == weights.with_suffix(".onnx")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_without_onnx_is_converted_once(checkpoint, tmp_path, caplog):
    weights = tmp_path / "lone.safetensors"
    weights.write_bytes(checkpoint("face").read_bytes())
    cache = tmp_path / "cache"
    converted = find_onnx(weights, str(cache))
    assert converted.parent == cache
    assert is_export_of(converted, weights)
    assert [r.levelname for r in caplog.records if "converting" in r.message] == ["WARNING"]
    written = converted.stat().st_mtime_ns
    assert find_onnx(weights, str(cache)) == converted
    assert converted.stat().st_mtime_ns == written


def test_a_stale_onnx_is_passed_over_with_one_warning(checkpoint, tmp_path, caplog):
    weights = tmp_path / "face.safetensors"
    weights.write_bytes(checkpoint("face").read_bytes())
    stale = weights.with_suffix(".onnx")
    stale.write_bytes(checkpoint("context").with_suffix(".onnx").read_bytes())
    found = find_onnx(weights, str(tmp_path / "cache"))
    assert found != stale
    assert is_export_of(found, weights)
    warnings = [r.message for r in caplog.records if str(stale) in r.message]
    assert len(warnings) == 1
    assert f"caer export {weights}" in warnings[0]


def test_without_torch_a_missing_onnx_is_an_error_that_names_the_way_out(
    checkpoint, tmp_path, monkeypatch
):
    weights = tmp_path / "lone.safetensors"
    weights.write_bytes(checkpoint("face").read_bytes())
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "caer_ros.network.export", raising=False)
    with pytest.raises(EngineError, match="torch is not here.*caer export .*lone.safetensors"):
        find_onnx(weights, str(tmp_path / "cache"))


@pytest.mark.skipif(
    "FP16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this CPU computes in f16",
)
def test_a_precision_the_cpu_lacks_is_refused(checkpoint, load):
    with pytest.raises(EngineError, match=r"precision f16 is not one of this CPU's \(.*f32"):
        load(checkpoint("face"), precision="f16")


def test_nothing_compiled_is_kept_where_nobody_would_notice_its_damage(checkpoint, load, tmp_path):
    load(checkpoint("face"))
    assert not list(tmp_path.rglob("*"))


def test_an_onnx_with_one_flipped_bit_is_passed_over(checkpoint, tmp_path, caplog):
    weights = tmp_path / "face.safetensors"
    weights.write_bytes(checkpoint("face").read_bytes())
    onnx = weights.with_suffix(".onnx")
    export_onnx(weights, onnx)
    assert find_fault(onnx, weights) is None
    whole = onnx.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        onnx.write_bytes(damaged)
        assert find_fault(onnx, weights) in (
            "is damaged",
            "was made of other weights than face.safetensors",
        )
    found = find_onnx(weights, str(tmp_path / "cache"))
    assert found.parent == tmp_path / "cache"
    assert "face.onnx is damaged and is passed over" in caplog.text
    # and so is the one in the cache
    found.write_bytes(damaged)
    assert find_fault(find_onnx(weights, str(tmp_path / "cache")), weights) is None


def test_crops_of_the_wrong_size_are_an_engine_error(checkpoint, load):
    engine = load(checkpoint("face"))
    with pytest.raises(EngineError, match="OpenVINO failed on 1 persons"):
        engine.infer(Batch(np.zeros((1, 64, 64, 3), np.uint8)))


@pytest.mark.parametrize("name", ["caer_net_s", "caer_net", "converted"])
def test_torch_is_never_imported(name, checkpoint, tmp_path):
    if name == "converted":
        lone = tmp_path / "lone.safetensors"
        lone.write_bytes(checkpoint("face", onnx=False).read_bytes())
        find_onnx(lone, str(tmp_path))
        name = str(lone)
    program = f"""
import sys
import numpy as np
from caer_ros.engines.base import Batch
from caer_ros.perception.pipeline import EmotionPipeline, PipelineSettings
from caer_ros.settings import build
from caer_ros.types import Frame
settings = {{"engine.weights": {name!r}, "engine.cache_dir": {str(tmp_path)!r}}}
settings["engine.engine"] = "openvino"
pipeline = EmotionPipeline.from_settings(build(PipelineSettings, settings))
pipeline.process([Frame("camera", 1, np.zeros((240, 320, 3), np.uint8))])
engine = pipeline.engine
print(engine.name, len(engine.infer(Batch.blank(engine.spec, 2)).probabilities))
print([name for name in sys.modules if name.split(".")[0] in ("torch", "onnx", "lightning")])
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n")[:2] == ["openvino 2", "[]"]


@pytest.mark.parametrize("name", ["caer_net_s", "caer_net"])
def test_the_shipped_onnx_belongs_to_the_shipped_checkpoint(name):
    from caer_ros.network.spec import resolve_weights

    weights = resolve_weights(name)
    assert isinstance(weights, Path)
    assert read_spec(weights).is_video == (name == "caer_net")
    assert is_export_of(weights.with_suffix(".onnx"), weights)
