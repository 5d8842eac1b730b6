# SPDX-License-Identifier: Apache-2.0
"""Run the node and bring it to work, also where there is no `ros2`; Ctrl-C ends it.

Options win over the parameter file. Where `ros2` is, the launch file does more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from caer_ros.ros.main import main as run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", metavar="TOPIC", help="camera topic; default: the file's, else /image"
    )
    parser.add_argument(
        "--weights", metavar="W", help="name of a network of the package, or a .safetensors file"
    )
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="parameter file, as config/caer.yaml"
    )


def main(args: argparse.Namespace) -> int:
    ros = ["--ros-args"]
    if args.params:
        args.params.open().close()
        ros += ["--params-file", str(args.params)]
    parameters: dict[str, object] = {"autostart": True}
    if args.image:
        parameters["image_topics"] = [args.image]
    if args.weights:
        parameters["engine.weights"] = args.weights
    for name, value in parameters.items():
        ros += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, quoted
    return run(ros)
