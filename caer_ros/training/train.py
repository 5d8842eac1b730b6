# SPDX-License-Identifier: Apache-2.0
"""Train CAER-Net on data sets in their own layouts.

The run lives in the folder --output: `weights.safetensors` (the best so far by validation
accuracy, temperature fitted), `last.ckpt` (to go on from) and `logs/`. The same command again
goes on where the run stopped; a run that was killed loses at most the epoch it was in and ends
with the weights it would have had. Later stages start from earlier ones with --init: first each
stream alone, then both.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import io
import json
import logging
import pickle
import platform
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import nn

from caer_ros.files import FileError, write_file
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.efficientnet import EfficientNetLite, load_imagenet
from caer_ros.network.layers import FEATURES
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import WeightsError, export_name, read_spec
from caer_ros.training.data import CaerData
from caer_ros.training.datasets import add_data_arguments, read
from caer_ros.training.examples import DataError, Example, fingerprint
from caer_ros.training.features import FeatureDataset
from caer_ros.training.metrics import measure
from caer_ros.training.module import CaerModule
from caer_ros.training.settings import TrainSettings, read_settings
from caer_ros.training.teachers import taught_by
from caer_ros.types import CaerError, Emotion

BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""What torch calls the instructions of processors that compute in bf16."""


class TellEpoch(Callback):
    """Print a line an epoch."""

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._began = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        figures = trainer.callback_metrics
        print(
            f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
            f"loss {figures['train/loss']:.3f}, "
            f"validation accuracy {figures['validation/accuracy']:.4f}, "
            f"macro F1 {figures['validation/macro_f1']:.4f}, "
            f"{time.monotonic() - self._began:.0f} s",
            flush=True,
        )


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep back what Lightning says of itself: adverts, and warnings of its own code."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(level)


class KeepBest(Callback):
    """Write the weights whenever the validation accuracy is the best so far, or always.

    Stands before the averaging callback, so that it sees the averaged weights. `adjustment`,
    float32 (7,), is added to the logits.
    """

    def __init__(self, path: Path, adjustment: np.ndarray, provenance: dict[str, str]) -> None:
        self.path = path
        self.adjustment = adjustment
        self.provenance = provenance
        self.best = -1.0

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, CaerModule)
        logits, targets = (torch.cat(part).numpy() for part in zip(*module.validated, strict=True))
        if not np.isfinite(logits).all():
            raise CaerError(
                f"epoch {trainer.current_epoch + 1} ended in answers that are not finite: lower "
                f"learning_rate, now {module.settings.learning_rate}"
            )
        logits, labels = logits + self.adjustment, targets.argmax(axis=1)
        temperature = fit_temperature(logits, labels)
        metrics = measure(labels, softmax(logits / temperature, axis=1))
        figures = {
            "accuracy": metrics.accuracy,
            "macro_f1": metrics.macro_f1,
            "calibration_error": metrics.calibration_error,
            **{f"recall_{e.name.lower()}": float(metrics.recall[e]) for e in Emotion},
        }
        module.log_dict({f"validation/{name}": value for name, value in figures.items()})
        better = metrics.accuracy > self.best or module.settings.keep == "last"
        if not better or not trainer.is_global_zero:
            return
        self.best = metrics.accuracy
        measured = {f"validation_{name}": f"{value:.4f}" for name, value in figures.items()}
        model = copy.deepcopy(module.model)
        last = model.classifier[-1]
        assert isinstance(last, nn.Linear)
        last.bias.data += torch.from_numpy(self.adjustment).to(module.device)
        model.spec = dataclasses.replace(
            model.spec,
            temperature=temperature,
            provenance={**self.provenance, "epoch": str(trainer.current_epoch + 1), **measured},
        )
        save_checkpoint(model, self.path)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]


class WholeCheckpoints(TorchCheckpointIO):
    """Write what a run goes on from beside the last one, and replace that in one step.

    Lightning's own writes to the system's temporary folder and moves the file. From another disk
    that is a copy over the last good one, which a kill or a full disk would leave cut short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_file(Path(path), content.getvalue())

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        try:
            return super().load_checkpoint(path, *args, **options)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise CaerError(
                f"{path} is not whole, delete it to start the run anew: {error}"
            ) from error


def logit_adjustment(labels: list[int], settings: TrainSettings) -> np.ndarray:
    """Return what lifts the classes that are drawn rarely, float32 (7,)."""
    drawn = np.maximum(np.bincount(labels, minlength=len(Emotion)), 1) ** (1 - settings.balance)
    return (-settings.logit_adjustment * np.log(drawn / drawn.sum())).astype(np.float32)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that makes the labels most likely (Guo et al., ICML 2017)."""

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded").x))


def start_from(model: CaerNet, paths: list[Path]) -> None:
    """Copy into `model` what checkpoints have that fits by name and shape; later ones win.

    A stream's classifier fits its half of the classifier of both; a half that no checkpoint has
    then starts at zero, so that the network answers as the one stream did.

    Raises:
        WeightsError: where a checkpoint has nothing that fits.
    """
    own = model.state_dict()
    halves = {"face": slice(0, FEATURES), "context": slice(FEATURES, None)}
    first = own["classifier.0.weight"]
    both = model.spec.streams == "both"
    if both and paths:
        first.zero_()
    for path in paths:
        start = load_checkpoint(path)
        state = start.state_dict()
        fitting = {n: t for n, t in state.items() if n in own and t.shape == own[n].shape}
        if not any("encoder" in n and t.dim() > 1 for n, t in fitting.items()):
            raise WeightsError(
                f"{path} has no stream that fits a {model.spec.architecture} with streams "
                f"{model.spec.streams!r}; `caer inflate` makes a caer_net of a caer_net_s"
            )
        if both and start.spec.streams in halves:
            first[:, halves[start.spec.streams]] = state["classifier.0.weight"]
        own.update(fitting)
    model.load_state_dict(own)


@_without_chatter()
def train(
    settings: TrainSettings,
    train_examples: list[Example],
    validation_examples: list[Example],
    output: Path,
    init: list[Path],
    provenance: dict[str, str],
    teachers: Sequence[Path] = (),
) -> None:
    """Train into folder `output`, or go on with the run that lies there.

    `teachers` are weights that give a share of the targets, `settings.distillation`.

    Raises:
        WeightsError: where a checkpoint to start from does not fit.
        DataError: where an example cannot be read or lacks the scene the network needs.
        CaerError: where `output` holds a run with other settings or a broken checkpoint, its disk
            is full, the accelerator is not there, or the training diverges.
    """
    if bool(teachers) != bool(settings.distillation):
        raise CaerError(
            f"distillation is {settings.distillation} with {len(teachers)} --teacher: "
            "a share needs teachers, and they need a share"
        )
    provenance = {**provenance, "seed": str(settings.seed)}
    torch.manual_seed(settings.seed)
    spec = settings.network.spec()
    if spec.has_face:
        train_examples = [example for example in train_examples if example.has_face]
        validation_examples = [example for example in validation_examples if example.has_face]
    model = CaerNet(spec)
    if spec.has_context and spec.context_encoder != "caer":
        load_imagenet(cast(EfficientNetLite, model.context_encoder))
    start_from(model, init)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = settings.dropout
    streams = tuple(name for name in ("face", "context") if model.spec.streams in (name, "both"))
    model.spec = dataclasses.replace(model.spec, trained=streams)
    if not model.spec.is_video:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    adjustment = logit_adjustment([int(e.label) for e in train_examples], settings)
    callbacks: list[Callback] = [KeepBest(output / "weights.safetensors", adjustment, provenance)]
    if settings.ema:
        callbacks.append(EMAWeightAveraging(decay=settings.ema))
    callbacks += [
        ModelCheckpoint(
            output, "last", enable_version_counter=False, save_on_train_epoch_end=True
        ),
        TellEpoch(),
    ]
    several = settings.devices * settings.nodes > 1
    on_gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    try:
        trainer = Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            precision=settings.precision,  # type: ignore[arg-type]
            max_epochs=settings.epochs,
            logger=CSVLogger(output, "logs"),
            callbacks=callbacks,
            plugins=[WholeCheckpoints()],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            sync_batchnorm=several and on_gpu,  # torch has it for GPUs only
            log_every_n_steps=1_000_000,  # figures are an epoch's
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
    except (MisconfigurationException, ValueError) as error:
        raise CaerError(
            f"{settings.devices} devices of accelerator {settings.accelerator!r} cannot be used "
            f"here: {error}"
        ) from error
    if settings.versions and not (settings.frozen == "encoders" and spec.has_context):
        raise CaerError(
            f"versions is {settings.versions}: only the scene encoder of a run with `frozen: "
            "encoders` says the same in every epoch; set one or the other"
        )
    taught = taught_by(teachers, train_examples) if teachers else None
    data = CaerData(train_examples, validation_examples, model.spec, settings, taught)
    # not before all fits together: what could not even start leaves the folder to the next try
    _claim(output, settings, provenance.get("data", ""), init, teachers)
    if settings.precision == "bf16-mixed" and isinstance(trainer.accelerator, CPUAccelerator):
        if not any(torch.cpu.get_capabilities().get(name) for name in BF16):
            print("this processor emulates bf16-mixed, which may take longer than 32-true does")
    if settings.versions:
        crops, seen = data.crops
        beside = output.parent
        data.train = FeatureDataset(crops, model, settings.versions, settings.precision, beside)
        data.validation = FeatureDataset(seen, model, 1, settings.precision, beside)
    last = output / "last.ckpt"
    try:
        trainer.fit(
            CaerModule(model, settings),
            data,
            ckpt_path=last if last.exists() else None,
            weights_only=True,
        )
    except (OSError, FileError) as error:
        raise CaerError(
            f"training into {output} stopped, the last epoch stays: {error}"
        ) from error


def _claim(
    output: Path,
    settings: TrainSettings,
    data: str,
    init: Sequence[Path],
    teachers: Sequence[Path],
) -> None:
    """Write down what the run in `output` is, or see that it is the same."""
    path = output / "run.json"
    run = {
        "settings": dataclasses.asdict(settings),
        "data": data,
        "init": [export_name(weights) for weights in init],
        "teachers": [export_name(weights) for weights in teachers],
    }
    asked = json.dumps(run, indent=2)
    if not path.exists():
        output.mkdir(parents=True, exist_ok=True)
        write_file(path, asked)
    elif path.read_text() != asked:
        raise CaerError(
            f"{output} holds a run with other settings or data, see {path}; "
            "choose another --output, or delete it"
        )


def read_splits(
    sources: list[str], faces: bool
) -> tuple[list[Example], list[Example], dict[str, str]]:
    """Read the training and validation examples of all sources, and what to remember of them.

    Raises:
        DataError: where a source cannot be read, or a film or video is in both splits.
    """
    parts: dict[str, list[Example]] = {"train": [], "validation": []}
    said, fingerprints = [], []
    for source in sources:
        counts = []
        for split, examples in parts.items():
            data = read(source, split, faces=faces)
            print(data)
            examples.extend(data.examples)
            counts.append(f"{len(data.examples)} {split}")
            if split == "train":
                fingerprints.append(fingerprint(data.examples))
        said.append(f"{source.partition(':')[0]} ({', '.join(counts)})")
    # a file that names no film is its own group, and another source may have one of that name
    train, validation = ({e.group for e in p if e.group != e.name} for p in parts.values())
    if shared := train & validation:
        raise DataError(f"{min(shared)} is in both the training and the validation split")
    remember = {"data": "; ".join(said), "examples": ", ".join(fingerprints)}
    return parts["train"], parts["validation"], remember


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_data_arguments(parser, several=True)
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="weights that give the share `distillation` of the targets; may be repeated",
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, --output, --seed and --init."""
    parser.add_argument("config", type=Path, help="settings, such as those in config/train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, help="default: the config's")
    parser.add_argument(
        "--init",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="weights to start from, of one stream or of all; may be repeated",
    )


def main(args: argparse.Namespace) -> int:
    settings = read_settings(args.config, args.seed)
    for path in (*args.init, *args.teacher):
        read_spec(path)  # before the data are read for minutes
    examples, validation_examples, data = read_splits(args.data, args.faces)
    provenance = {
        **data,
        "split": "the data sets' own, else a fifth of the films, videos or files by hash",
        "licence": settings.licence,
        "init": ", ".join(map(export_name, args.init)),
        "teachers": ", ".join(map(export_name, args.teacher)),
        "versions": f"caer_ros {metadata.version('caer_ros')}, torch {torch.__version__}",
        "machine": f"{platform.machine()}, {settings.nodes} x {settings.devices} devices",
    }
    train(
        settings, examples, validation_examples, args.output, args.init, provenance, args.teacher
    )
    print(f"{args.output / 'weights.safetensors'}")
    return 0
