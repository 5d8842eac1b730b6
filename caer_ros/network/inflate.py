# SPDX-License-Identifier: Apache-2.0
"""`caer inflate`: a trained CAER-Net-S becomes an initial CAER-Net."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from caer_ros.arguments import whole_number
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.export import export_onnx
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import WeightsError


def inflate(model: CaerNet, clip_length: int = 16) -> CaerNet:
    """Return the video network that answers a still clip as `model` answers the frame.

    Each 2D kernel becomes the middle slice of a 3D kernel whose other slices are zero. (Carreira
    and Zisserman, 2017, spread it evenly over time instead; with zero padding in time that is not
    exact at the ends of a clip.) On a moving clip the result is the maximum over time of the
    frames' features, until fine-tuning teaches the other slices.

    Raises:
        WeightsError: where `model` is a video network already.
    """
    if model.spec.is_video:
        raise WeightsError("only a caer_net_s can be inflated, this is a caer_net already")
    spec = dataclasses.replace(model.spec, architecture="caer_net", clip_length=clip_length)
    video = CaerNet(spec)
    state = model.state_dict()
    for name, tensor in video.state_dict().items():
        if tensor.dim() == 5 and tensor.shape[2] > 1:
            tensor.zero_()
            tensor[:, :, tensor.shape[2] // 2] = state[name]
        else:
            tensor.copy_(state[name].reshape(tensor.shape))
    return video.train(model.training)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, help="checkpoint of a caer_net_s (.safetensors)")
    parser.add_argument("output", type=Path, help="checkpoint of the caer_net to write")
    parser.add_argument(
        "--clip-length", type=whole_number(2), default=16, help="frames of a clip (default 16)"
    )
    parser.add_argument("--onnx", action="store_true", help="write the ONNX file beside it too")


def main(args: argparse.Namespace) -> int:
    if args.output.resolve() == args.weights.resolve():
        raise WeightsError(f"{args.output} is the checkpoint to read; name another file to write")
    save_checkpoint(inflate(load_checkpoint(args.weights), args.clip_length), args.output)
    if args.onnx:
        export_onnx(args.output, args.output.with_suffix(".onnx"))
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")
    return 0
