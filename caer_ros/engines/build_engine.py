# SPDX-License-Identifier: Apache-2.0
"""Convert and compile weights ahead of time, so that a robot does not wait for it at boot.

For TensorRT this takes minutes and holds for the GPU and the library versions of this machine;
for OpenVINO a second. What is made lies in the cache folder that the node reads.
"""

from __future__ import annotations

import argparse
import time

from caer_ros.engines.select import engine_order, make_engine
from caer_ros.engines.settings import ENGINES, PRECISIONS, EngineSettings
from caer_ros.network.spec import resolve_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = EngineSettings()
    parser.add_argument(
        "weights",
        nargs="*",
        default=["caer_net_s", "caer_net"],
        help="names of networks or paths of .safetensors files (default: both of the package)",
    )
    parser.add_argument("--engine", default=default.engine, choices=("auto", *ENGINES))
    parser.add_argument("--precision", default=default.precision, choices=("auto", *PRECISIONS))
    parser.add_argument(
        "--cache-dir", default=default.cache_dir, help="as the node's engine.cache_dir"
    )


def main(args: argparse.Namespace) -> int:
    """Load each network in the engine that comes first here, which builds it.

    Raises:
        CaerError: where it cannot be built; other engines are not tried.
    """
    name = engine_order(args.engine)[0]
    for weights in args.weights:
        settings = EngineSettings(
            weights=weights, engine=name, precision=args.precision, cache_dir=args.cache_dir
        )
        started = time.monotonic()
        engine = make_engine(name, resolve_weights(weights), settings)
        print(
            f"{weights}: {engine.name} {engine.precision} on {engine.device}, "
            f"ready in {time.monotonic() - started:.1f} s"
        )
        engine.close()
    return 0
