# SPDX-License-Identifier: Apache-2.0
"""CAER-Net on an NVIDIA GPU or Jetson through Torch-TensorRT: 2.8 (JetPack 6) or 2.13."""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from caer_ros.engines.base import Batch, Engine, EngineError, Prediction
from caer_ros.engines.settings import EngineSettings
from caer_ros.engines.torch import DTYPES, device_error, fold_normalisation
from caer_ros.files import write_file
from caer_ros.network.checkpoint import load_checkpoint
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, export_name
from caer_ros.paths import cache_folder
from caer_ros.types import Emotion

logger = logging.getLogger(__name__)

MAX_BATCH = 16
USUAL_BATCH = 4
"""What TensorRT tunes its kernels for."""

DEVICE = torch.device("cuda")


class TensorRtEngine(Engine):
    """One TensorRT engine for 1 to 16 persons, built once for a GPU and kept in the cache folder.

    The crops of a batch go to the GPU in one copy from pinned memory, as bytes; all results come
    back in one.
    """

    name = "tensorrt"
    max_batch = MAX_BATCH

    def __init__(self, weights: Path, settings: EngineSettings) -> None:
        """Load the engine of this GPU; build it, which takes minutes, where there is none.

        Raises:
            WeightsError: for weights that are missing or broken.
            EngineError: where there is no GPU, no Torch-TensorRT, or the precision is unknown.
        """
        if not torch.cuda.is_available():
            raise EngineError("tensorrt needs an NVIDIA GPU, and torch sees none")
        torch_tensorrt = _import_torch_tensorrt()
        self.precision = "f16" if settings.precision == "auto" else settings.precision
        if self.precision not in DTYPES:
            raise EngineError(
                f"precision {self.precision} is not one of tensorrt's ({', '.join(DTYPES)})"
            )
        self.device = torch.cuda.get_device_name()
        model = load_checkpoint(weights)
        self.spec = model.spec
        path = engine_path(weights, self.precision, settings.cache_dir)
        if not path.is_file():
            logger.warning(
                "building %s for %s, once; this takes minutes, `caer build-engine` does it ahead",
                path,
                self.device,
            )
            build_engine(model, self.precision, path)
        self._run = torch_tensorrt.load(str(path)).module()
        self._dtype = DTYPES[self.precision]
        self._shapes = input_shapes(self.spec)
        bytes_most = MAX_BATCH * sum(math.prod(shape) for shape in self._shapes)
        pinned = DEVICE.type == "cuda"
        self._crops = torch.empty(bytes_most, dtype=torch.uint8, pin_memory=pinned)
        self._on_device = torch.empty(bytes_most, dtype=torch.uint8, device=DEVICE)
        self._results = torch.empty(0, pin_memory=pinned)

    @torch.inference_mode()
    def infer(self, batch: Batch) -> Prediction:
        persons = len(batch)
        faces, contexts, context_index = batch.arrays
        host = self._crops.numpy()
        end = 0
        slices = []
        for shape in self._shapes:
            start, end = end, end + persons * math.prod(shape)
            slices.append(slice(start, end))
        if faces is not None:
            host[slices[0]].reshape(faces.shape)[:] = faces
        if contexts is not None and context_index is not None:
            scenes = host[slices[-1]].reshape(persons, *contexts.shape[1:])
            # in its default mode NumPy would copy into a buffer of its own first
            np.take(contexts, context_index, axis=0, out=scenes, mode="clip")
        try:
            self._on_device[:end].copy_(self._crops[:end], non_blocking=True)
            columns = self._run(
                *(
                    self._on_device[part].view(persons, *shape).to(self._dtype)
                    for part, shape in zip(slices, self._shapes, strict=True)
                )
            )
            if not isinstance(columns, Tensor):
                (columns,) = columns  # some versions return a single output in a tuple
            if self._results.shape[1:] != columns.shape[1:]:
                self._results = torch.empty(
                    MAX_BATCH, columns.shape[1], pin_memory=self._crops.is_pinned()
                )
            results = self._results[:persons].copy_(columns).numpy().copy()
        except RuntimeError as error:
            raise device_error(error, self.device) from error
        classes = len(Emotion)
        attention = results[:, classes + 2 :]
        edge = math.isqrt(attention.shape[1])
        return Prediction(
            results[:, :classes],
            results[:, classes],
            results[:, classes + 1],
            attention.reshape(persons, edge, edge) if edge else None,
        )

    def close(self) -> None:
        del self._run, self._on_device, self._crops, self._results
        torch.cuda.empty_cache()


class _Columns(nn.Module):
    """The network with all its results side by side, float32 (N, 9 + cells of the attention)."""

    def __init__(self, model: CaerNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, *streams: Tensor) -> Tensor:
        spec = self.model.spec
        output = self.model(
            streams[0] if spec.has_face else None, streams[-1] if spec.has_context else None
        )
        return torch.cat([part.float().flatten(1) for part in output if part is not None], dim=1)


def input_shapes(spec: NetworkSpec) -> list[tuple[int, ...]]:
    """Return the shapes of one person's crops, of the streams that `spec` has."""
    clip = (spec.clip_length,) if spec.is_video else ()
    edges = [spec.face_size] * spec.has_face + [spec.context_size] * spec.has_context
    return [(*clip, edge, edge, 3) for edge in edges]


def export_batch(model: CaerNet, precision: str, device: torch.device) -> ExportedProgram:
    """Export `model` in `precision`, softmaxes in float32, for 1 to `MAX_BATCH` persons.

    The inputs are faces and contexts, those the network has, one of each for a person, holding
    0 to 255 in the floating type of `precision`.
    """
    fold_normalisation(model)
    dtype = DTYPES[precision]
    batch = Dim("persons", min=1, max=MAX_BATCH)
    # Torch-TensorRT tunes for the batch of the example and passes over its own `opt_shape`
    examples = tuple(
        torch.zeros(USUAL_BATCH, *shape, dtype=dtype, device=device)
        for shape in input_shapes(model.spec)
    )
    return torch.export.export(
        _Columns(model).to(device, dtype).eval(),
        examples,
        dynamic_shapes=(tuple({0: batch} for _ in examples),),
        strict=False,
    )


def build_engine(model: CaerNet, precision: str, path: Path) -> None:
    """Compile `model` for this machine's GPU and write the engine to `path`.

    Raises:
        EngineError: where Torch-TensorRT cannot be imported.
        FileError: where `path` cannot be written.
    """
    torch_tensorrt = _import_torch_tensorrt()
    dtype = DTYPES[precision]
    options: dict[str, Any] = {
        "arg_inputs": [
            torch_tensorrt.Input(
                min_shape=(1, *shape),
                opt_shape=(USUAL_BATCH, *shape),
                max_shape=(MAX_BATCH, *shape),
                dtype=dtype,
            )
            for shape in input_shapes(model.spec)
        ],
        "disable_tf32": precision == "f32",
        "min_block_size": 1,
    }
    compile_program = torch_tensorrt.dynamo.compile
    # The module itself is cast, and its types are to be kept. That is the only behaviour of 2.13,
    # where the option is gone; 2.8 has to be told.
    if "use_explicit_typing" in inspect.signature(compile_program).parameters:
        options["use_explicit_typing"] = True
    with tempfile.TemporaryDirectory() as folder:
        # its default has a fixed name under /tmp, where anybody may have put one; one that was
        # kept would be of another TensorRT after an update, which then fails at the end of the
        # build
        options["timing_cache_path"] = f"{folder}/timing_cache.bin"
        compiled = compile_program(export_batch(model, precision, DEVICE), **options)
        built = Path(folder, path.name)
        # the graph as compiled has its dynamic shapes; tracing it again would lose them
        torch_tensorrt.save(compiled, str(built), output_format="exported_program", retrace=False)
        write_file(path, built.read_bytes())


def engine_path(weights: Path, precision: str, cache_dir: str) -> Path:
    """Return where the engine of these weights for this GPU and these libraries is kept."""
    torch_tensorrt = _import_torch_tensorrt()
    import tensorrt  # after torch_tensorrt, which puts TensorRT for RTX under this name

    name = cache_name(
        weights,
        ".pt2",
        gpu=torch.cuda.get_device_name(),
        compute_capability=torch.cuda.get_device_capability(),
        torch=torch.__version__,
        torch_tensorrt=torch_tensorrt.__version__,
        provider=getattr(torch_tensorrt, "tensorrt_package_name", "") or "tensorrt",
        tensorrt=tensorrt.__version__,
        precision=precision,
        batch=(1, USUAL_BATCH, MAX_BATCH),
    )
    folder = cache_folder(cache_dir) / "tensorrt"
    folder.mkdir(exist_ok=True)
    return folder / name


def cache_name(weights: Path, suffix: str, **key: object) -> str:
    """Return a file name for what is made of `weights` under the conditions `key`.

    Stem and hash of the weights stay readable, the conditions are hashed.
    """
    conditions = "\n".join(f"{name}={value}" for name, value in sorted(key.items()))
    digest = hashlib.sha256(conditions.encode()).hexdigest()[:16]
    return f"{export_name(weights)}-{digest}{suffix}"


def _import_torch_tensorrt() -> ModuleType:
    """Import Torch-TensorRT, or Torch-TensorRT-RTX, which has the same name.

    Raises:
        EngineError: with the reason; where libraries do not fit it raises nearly anything.
    """
    try:
        import torch_tensorrt
    except Exception as error:
        raise EngineError(
            f"Torch-TensorRT cannot be imported ({error!r}); install the torch_tensorrt that fits "
            f"torch {torch.__version__} (docs/engines.md)"
        ) from error
    return torch_tensorrt
