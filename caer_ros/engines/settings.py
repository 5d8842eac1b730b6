# SPDX-License-Identifier: Apache-2.0
"""Settings of the network and of what runs it."""

from __future__ import annotations

from dataclasses import dataclass

from caer_ros.settings import SettingError, setting

ENGINES = ("openvino", "torch", "tensorrt")
PRECISIONS = ("f32", "bf16", "f16", "int8")
TEMPERATURES = ("photo", "film")


@dataclass(frozen=True)
class EngineSettings:
    """Which weights are run, by what, and in which precision."""

    weights: str = setting(
        "caer_net_s",
        "weights to run: the name of a network that comes with the package (caer_net_s, "
        "caer_net_s_scene, caer_net) or the path of a .safetensors file",
    )
    engine: str = setting(
        "auto",
        "what runs the network; auto takes tensorrt, else torch on a GPU, else openvino",
        choices=("auto", *ENGINES),
    )
    precision: str = setting(
        "auto",
        "arithmetic of the network; auto takes the fastest of the engine and the machine that "
        "keeps to f32 within 0.02 of a probability; int8 is openvino's and needs `caer quantize`",
        choices=("auto", *PRECISIONS),
    )
    temperature: str = setting(
        "photo",
        "how sure the network may be: photo, as its confidence is right on photographs; film, as "
        "on film frames, which is less sure; or a number by which the logits are divided, in "
        "quotes: '1.5'. The most probable label is the same",
    )
    threads: int = setting(
        0,
        "CPU threads for one inference; 0 takes one for a static network, else up to four",
        minimum=0,
        maximum=256,
    )
    cache_dir: str = setting(
        "", "folder of converted networks and TensorRT engines; empty for ~/.cache/caer_ros"
    )

    def __post_init__(self) -> None:
        if self.temperature in TEMPERATURES:
            return
        try:
            fits = 0.01 <= float(self.temperature) <= 100
        except ValueError:
            fits = False
        if not fits:
            raise SettingError(
                f"engine.temperature is {self.temperature!r}, expected one of "
                f"{', '.join(TEMPERATURES)}, or a number from 0.01 to 100 in quotes"
            )
