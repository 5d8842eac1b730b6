# SPDX-License-Identifier: Apache-2.0
"""What a training run is told; the files in config/train name the values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from caer_ros.network.spec import ENCODERS, NetworkSpec
from caer_ros.settings import SettingError, build, flatten, setting
from caer_ros.training.augment import AugmentSettings


@dataclass(frozen=True)
class NetworkSettings:
    """Which network is trained; see `caer_ros.network.spec.NetworkSpec`."""

    architecture: str = setting(
        "caer_net_s", "2D or, for clips, 3D", choices=("caer_net_s", "caer_net")
    )
    streams: str = setting("both", "streams it has", choices=("both", "face", "context"))
    context_encoder: str = setting(
        "caer", "the paper's, or one that starts from ImageNet", choices=ENCODERS
    )
    context_view: str = setting(
        "centre", "the frame's centre, as in the paper, or all of it", choices=("centre", "whole")
    )
    context_attention: str = setting(
        "spatial",
        "none, the paper's, or GLAMOR-Net's",
        choices=("none", "spatial", "face_conditioned"),
    )
    fusion: str = setting("adaptive", "the paper's or none", choices=("adaptive", "concatenate"))
    face_size: int = setting(96, "edge of the face crop, pixels", minimum=16, maximum=512)
    context_size: int = setting(112, "edge of the scene crop, pixels", minimum=16, maximum=512)
    clip_length: int = setting(1, "frames of a clip, 1 for caer_net_s", minimum=1, maximum=64)
    mirrored: bool = setting(
        False, "read each face as it is and mirrored, once trained: twice the work of a face"
    )

    def spec(self) -> NetworkSpec:
        return NetworkSpec(**{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True)
class TrainSettings:
    """One training run."""

    seed: int = setting(0, "of initial weights, sampling and augmentation", minimum=0)
    epochs: int = setting(12, "passes over the data", minimum=1)
    draws: int = setting(
        0,
        "examples drawn an epoch, on all devices together; 0 for as many as there are",
        minimum=0,
    )
    batch_size: int = setting(32, "examples a step, on each device", minimum=1)
    optimizer: str = setting(
        "sgd", "with Nesterov momentum 0.9, or AdamW", choices=("sgd", "adamw")
    )
    learning_rate: float = setting(5e-3, "the highest of the schedule", minimum=0.0)
    weight_decay: float = setting(0.0, "of convolutions and linear layers", minimum=0.0)
    schedule: str = setting(
        "step",
        "step divides by 10 every `step_epochs`; one_cycle warms up and falls by a cosine to 0",
        choices=("step", "one_cycle"),
    )
    step_epochs: int = setting(4, "epochs between steps", minimum=1)
    label_smoothing: float = setting(0.0, "share spread evenly", minimum=0.0, maximum=0.9)
    soft_votes: bool = setting(
        False, "learn the shares of votes where the data have them, not the label alone"
    )
    searched: float = setting(
        0.0,
        "share that the class a picture was searched for has in its target, where the data tell",
        minimum=0.0,
        maximum=1.0,
    )
    distillation: float = setting(
        0.0,
        "share of the target that the --teacher weights give, by what they say of the picture as "
        "it is: so a spoiled picture is taught what the clean one shows",
        minimum=0.0,
        maximum=1.0,
    )
    balance: float = setting(
        0.0,
        "classes are drawn as their count to the power of 1 - balance: 0 as they come, 1 evenly",
        minimum=0.0,
        maximum=1.0,
    )
    logit_adjustment: float = setting(
        0.0,
        "part of the classes' log shares in the draws that is taken off the logits of the weights "
        "that are kept (Menon et al., ICLR 2021): lifts rare classes",
        minimum=0.0,
        maximum=1.0,
    )
    dropout: float = setting(
        0.5, "share of the classifier's hidden values dropped", minimum=0.0, maximum=0.9
    )
    frozen: str = setting(
        "none",
        "what stays as --init gave it: none, early (the first two convolutions of the paper's "
        "encoders), face (that stream and what the classifier makes of it), or encoders (the "
        "scene encoder too)",
        choices=("none", "early", "face", "encoders"),
    )
    anchor: float = setting(
        0.0,
        "how much it costs, with a frozen face, to move the logits of classes that an example's "
        "data set does not have away from those of the face alone",
        minimum=0.0,
    )
    scene_loss: float = setting(
        0.0,
        "how much the loss of what the scene alone says counts, beside that of both",
        minimum=0.0,
    )
    gate: float = setting(
        0.0,
        "how much the fusion weights learn directly which stream knows the label where a face is "
        "hidden or spoilt, and to stay with the face where it is clear or all the frame is spoilt",
        minimum=0.0,
    )
    versions: int = setting(
        0,
        "draws of each example, the first as it is, that a frozen scene encoder reads once; its "
        "features are kept beside the run, and epochs choose among them; 0 draws anew each time",
        minimum=0,
    )
    hide_face: bool = setting(
        True, "the face is black in the scene, as the robot hides it; no is for studies"
    )
    stream_dropout: float = setting(
        0.0, "share of examples that lose one of both streams", minimum=0.0, maximum=1.0
    )
    ema: float = setting(
        0.0,
        "decay of the moving average of the weights, which is what is judged and kept; 0 for none",
        minimum=0.0,
        maximum=0.99999,
    )
    keep: str = setting(
        "best",
        "weights of the epoch with the best validation accuracy, or the last, where the targets "
        "are not the labels that are validated by",
        choices=("best", "last"),
    )
    first_face_size: int = setting(
        96, "edge of the face crop in the first epochs, pixels", minimum=16, maximum=512
    )
    first_epochs: int = setting(0, "epochs with `first_face_size`", minimum=0)
    precision: str = setting(
        "32-true", "of the arithmetic", choices=("32-true", "bf16-mixed", "16-mixed")
    )
    accelerator: str = setting("auto", "as Lightning names them: auto, cpu, gpu, …")
    devices: int = setting(1, "accelerators of a machine, by DDP if several", minimum=1)
    nodes: int = setting(1, "machines", minimum=1)
    workers: int = setting(2, "processes that read and augment", minimum=0, maximum=64)
    licence: str = setting("", "what the data's licence means for the weights; stored in them")
    network: NetworkSettings = field(default_factory=NetworkSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)


def read_settings(path: Path, seed: int | None = None) -> TrainSettings:
    """Read a run's settings from a YAML file; what it does not name keeps its default.

    `seed` stands in for the file's.

    Raises:
        SettingError: where the file cannot be read or names a setting that does not exist.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path} holds no settings")
    return build(TrainSettings, flatten(content if seed is None else {**content, "seed": seed}))
