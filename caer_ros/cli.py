# SPDX-License-Identifier: Apache-2.0
"""The `caer` command: one table of verbs; a verb's module is imported when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from caer_ros.types import CaerError


class Verb(NamedTuple):
    """A module with `add_arguments(parser)` and `main(arguments) -> int`, and a line of help."""

    module: str
    help: str


VERBS = {
    "demo": Verb("caer_ros.demo.run", "a video through the real node, from bag to timeline"),
    "play": Verb("caer_ros.ros.player", "the images of a bag on their topics again"),
    "make-bag": Verb("caer_ros.replay.make_bag", "a video or a folder of images becomes a bag"),
    "replay": Verb("caer_ros.replay.run", "a bag becomes a bag of emotions, a timeline, a report"),
    "train": Verb("caer_ros.training.train", "train CAER-Net on data sets in their own layouts"),
    "evaluate": Verb("caer_ros.training.evaluate", "how good weights are on a data set"),
    "cross-validate": Verb(
        "caer_ros.training.cross_validate", "a network on films that it was not trained on"
    ),
    "context-study": Verb(
        "caer_ros.training.context_study", "whether networks read the scene, on drawn ones"
    ),
    "inflate": Verb("caer_ros.network.inflate", "a CAER-Net-S becomes an initial video CAER-Net"),
    "export": Verb("caer_ros.network.export", "weights as ONNX, to run without torch"),
    "quantize": Verb("caer_ros.training.quantize", "weights in int8, with what that costs"),
    "build-engine": Verb("caer_ros.engines.build_engine", "compile weights ahead of time"),
    "doctor": Verb("caer_ros.doctor", "what this machine has, and which engine is chosen"),
    "benchmark": Verb("caer_ros.benchmark.run", "how fast engines, pipeline and node are here"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status: 2 for a usage error, a `CaerError`, or a verb
    that needs a library which is not installed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in VERBS:
        _overview().parse_args(arguments or ["--help"])
        return 0
    name = arguments.pop(0)
    try:
        module = importlib.import_module(VERBS[name].module)
        parser = argparse.ArgumentParser(
            prog=f"caer {name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        return int(module.main(parser.parse_args(arguments)))
    except CaerError as error:
        print(f"caer: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"caer: error: `caer {name}` needs the Python module {error.name}, which is not "
            "installed; README.md says which requirements/*.txt has what",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, VERBS), default=0)
    verbs = "\n".join(f"  {name:{width}}  {verb.help}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="caer",
        usage="caer VERB [ARGUMENTS]",
        description="The emotions that the people in front of a robot's camera show.",
        epilog=f"verbs:\n{verbs}\n\n`caer VERB --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
