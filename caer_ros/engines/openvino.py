# SPDX-License-Identifier: Apache-2.0
"""CAER-Net on the CPU through OpenVINO, without torch."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from caer_ros.engines.base import Batch, Engine, EngineError, Prediction
from caer_ros.engines.runtime import ops, ov
from caer_ros.engines.settings import EngineSettings
from caer_ros.network.check import read_check, sha256
from caer_ros.network.spec import FORMAT, export_name, is_export_of, read_spec
from caer_ros.paths import cache_folder

logger = logging.getLogger(__name__)

OUTPUTS = {"probabilities", "weights", "attention"}

INT8_SUFFIX = ".int8.xml"

MOST_THREADS = 4
"""More gain little on a video network, and take cores from the rest of a robot. A static one has
one: a second makes each image cost more and be done hardly sooner (docs/performance.md)."""


MOST_SCENES = 64
"""Scenes whose outputs are remembered, a kilobyte each with the weights that ship."""


class OpenVinoEngine(Engine):
    """The ONNX form of a checkpoint, cut in two: what depends on the scene alone, and the rest.

    A scene is read once however many persons are in it. Both parts run one scene and one person
    at a time: on a CPU that costs the same as a batch, its memory does not grow with the persons
    (a clip needs 25 MB each), and no person's numbers depend on who else is there. What a scene
    gave is kept for the next batches, in which it may come again (`clips.scene_rate`).
    """

    name = "openvino"
    device = "CPU"

    def __init__(self, weights: Path, settings: EngineSettings) -> None:
        """Read, or convert, and compile the network.

        Raises:
            WeightsError: for weights that are missing or broken.
            EngineError: for a precision this CPU lacks, an ONNX that is needed and cannot be
                made, or an int8 form that is missing or of other weights.
        """
        self.spec = read_spec(weights)
        core = ov.Core()
        config = _config(core, settings, self.spec.is_video)
        self._outputs: dict[str, np.ndarray] = {}
        if settings.precision == "int8":
            model = read_int8(core, weights)
        else:
            model = core.read_model(find_onnx(weights, settings.cache_dir))
        parts = cut(model)
        self._scene, self._person = (self._compile(core, part, config) for part in parts)
        self._scene_outputs = self._scene and [
            self._scene.get_tensor(port).data for port in self._scene.model_outputs
        ]
        self._kept: dict[bytes, list[np.ndarray]] = {}
        if settings.precision == "int8":
            self.precision = "int8"
        if self._scene and self._person:
            for index in range(1, len(self._person.model_inputs)):
                # one part writes into what the other reads
                self._person.set_input_tensor(index, self._scene.get_output_tensor(index - 1))

    def _compile(self, core: ov.Core, part: ov.Model | None, config: dict[str, Any]) -> Any:
        if part is None:
            return None
        compiled = core.compile_model(part, "CPU", config)
        self.precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        request = compiled.create_infer_request()
        for port in compiled.outputs:
            for name in port.names & OUTPUTS:
                self._outputs[name] = request.get_tensor(port).data
        return request

    def infer(self, batch: Batch) -> Prediction:
        persons = len(batch)
        faces, contexts, context_index = batch.arrays
        outputs = {
            name: np.empty((persons, *tensor.shape[1:]), np.float32)
            for name, tensor in self._outputs.items()
        }
        try:
            for scene in range(len(contexts) if contexts is not None else 1):
                if contexts is not None:
                    self._read_scene(contexts[scene : scene + 1])
                    members = np.flatnonzero(context_index == scene)
                else:
                    members = np.arange(persons)
                for person in members:
                    if faces is not None:
                        self._person.infer({0: faces[person : person + 1]}, share_inputs=True)
                    for name, tensor in self._outputs.items():
                        outputs[name][person] = tensor[0]
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on {persons} persons: {error}") from error
        return Prediction(
            outputs["probabilities"],
            outputs["weights"][:, 0],
            outputs["weights"][:, 1],
            outputs.get("attention"),
        )

    def _read_scene(self, scene: np.ndarray) -> None:
        """Fill the outputs of the scene's part: by running it, or as they were for this scene."""
        if self.spec.is_video:
            self._scene.infer([scene], share_inputs=True)
            return
        key = hashlib.sha256(np.ascontiguousarray(scene).data).digest()
        kept = self._kept.pop(key, None)
        if kept is None:
            self._scene.infer([scene], share_inputs=True)
            kept = [output.copy() for output in self._scene_outputs]
        else:
            for output, values in zip(self._scene_outputs, kept, strict=True):
                output[:] = values
        # the one that was read first lately goes first
        self._kept[key] = kept
        if len(self._kept) > MOST_SCENES:
            del self._kept[next(iter(self._kept))]

    def close(self) -> None:
        self._scene = self._person = self._scene_outputs = None
        self._outputs, self._kept = {}, {}


def find_onnx(weights: Path, cache_dir: str) -> Path:
    """Return the ONNX form of checkpoint `weights`: beside it, from the cache, or made now.

    Raises:
        EngineError: where it has to be made and torch or onnx is missing.
    """
    beside = weights.with_suffix(".onnx")
    if beside.is_file():
        fault = find_fault(beside, weights)
        if fault is None:
            return beside
        logger.warning(
            "%s %s and is passed over; renew it with `caer export %s`", beside, fault, weights
        )
    cached = cache_folder(cache_dir) / f"{export_name(weights)}-{FORMAT}.onnx"
    if not cached.is_file() or find_fault(cached, weights):
        try:
            from caer_ros.network.export import export_onnx
        except ImportError as error:
            raise EngineError(
                f"{weights} has no ONNX form beside it and {error.name} is not here to make it; "
                f"run `caer export {weights}` where the extra `train` is installed"
            ) from error
        logger.warning("converting %s to %s, once", weights, cached)
        export_onnx(weights, cached)
    return cached


def find_fault(onnx: Path, weights: Path) -> str | None:
    """Return why an ONNX file cannot stand for checkpoint `weights`, or None where it can."""
    if not is_export_of(onnx, weights):
        return f"was made of other weights than {weights.name}"
    check = read_check(onnx, weights)
    if check is None:
        logger.warning("%s has no check beside it; `caer export %s` makes one", onnx, weights)
    elif check.onnx != sha256(onnx):
        return "is damaged"
    return None


def read_int8(core: ov.Core, weights: Path) -> ov.Model:
    """Return the int8 form that `caer quantize` wrote beside checkpoint `weights`.

    Raises:
        EngineError: where there is none, or it was made of other weights.
    """
    path = weights.with_suffix(INT8_SUFFIX)
    remedy = f"make it with `caer quantize {weights} --data LAYOUT:PATH`"
    if not path.is_file():
        raise EngineError(f"precision int8 needs {path}, which does not exist; {remedy}")
    model = core.read_model(path)
    key = ["caer_ros", "weights"]
    if not model.has_rt_info(key) or model.get_rt_info(key).value != export_name(weights):
        raise EngineError(f"{path} was made of other weights than {weights.name}; {remedy}")
    return model


def cut(model: ov.Model) -> tuple[ov.Model | None, ov.Model | None]:
    """Cut a network into the part that depends on the scene alone and the part for one person.

    Both have batch 1. The person's inputs are the face and then, in order, the first outputs of
    the scene's part; outputs of the whole keep their names. Either is None where the network has
    no such stream.
    """
    inputs = {node.get_friendly_name(): node for node in model.get_parameters()}
    if "context_index" in inputs:
        only = ops.constant(np.zeros(1, np.int64))
        inputs.pop("context_index").output(0).replace(only.output(0))
        model = ov.Model(model.get_results(), list(inputs.values()))
    model.reshape({name: [1, *node.get_partial_shape()[1:]] for name, node in inputs.items()})
    if len(inputs) == 1:
        return (model, None) if "contexts" in inputs else (None, model)

    reads_face: set[str] = set()
    reads_scene: set[str] = set()
    scene_outputs: list[ov.Output] = []
    person_inputs = [inputs["faces"]]
    for node in model.get_ordered_ops():
        sources = {source.get_node().get_name() for source in node.input_values()}
        if node in (inputs["faces"],) or sources & reads_face:
            reads_face.add(node.get_name())
        elif node in (inputs["contexts"],) or sources & reads_scene:
            reads_scene.add(node.get_name())
    for node in model.get_ordered_ops():
        if node.get_name() not in reads_scene:
            continue
        for output in node.outputs():
            targets = [
                t for t in output.get_target_inputs() if t.get_node().get_name() in reads_face
            ]
            if targets:
                scene_outputs.append(output)
                person_inputs.append(ops.parameter(output.get_shape(), output.get_element_type()))
                for target in targets:
                    target.replace_source_output(person_inputs[-1].output(0))
    person_results = []
    for result in model.get_results():
        if result.get_name() in reads_scene:
            scene_outputs.append(result.input_value(0))
        else:
            person_results.append(result)
    return ov.Model(scene_outputs, [inputs["contexts"]]), ov.Model(person_results, person_inputs)


def _config(core: ov.Core, settings: EngineSettings, video: bool) -> dict[str, Any]:
    """Return the CPU plugin's properties.

    Raises:
        EngineError: for a precision this CPU does not have.
    """
    most = MOST_THREADS if video else 1
    threads = settings.threads or min(len(os.sched_getaffinity(0)), most)
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    if settings.precision != "auto":
        # without the hint the plugin takes bf16 where the CPU computes in it, else f32
        known = {"f32": "FP32", "bf16": "BF16", "f16": "FP16", "int8": "INT8"}
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if known.get(settings.precision) not in capabilities:
            raise EngineError(
                f"precision {settings.precision} is not one of this CPU's "
                f"({', '.join(p for p, name in known.items() if name in capabilities)})"
            )
        # in a quantised network the hint is for what was left in floating point
        if settings.precision != "int8":
            config["INFERENCE_PRECISION_HINT"] = settings.precision
    return config
