# SPDX-License-Identifier: Apache-2.0
"""The `caer` command: one table of verbs; a verb's module is imported when it is called."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from caer_ros.paths import package_version
from caer_ros.process import keep_opencv_to_one_thread
from caer_ros.text import printable
from caer_ros.types import CaerError


class Verb(NamedTuple):
    """A module with `add_arguments(parser)` and `main(arguments) -> int`, and a line of help."""

    module: str
    help: str


GROUPS = {
    "use": {
        "demo": Verb("caer_ros.demo.run", "a video through the real node, from bag to timeline"),
        "watch": Verb(
            "caer_ros.viewer.run", "your own camera, video, picture or bag, without ROS"
        ),
        "node": Verb("caer_ros.ros.start", "the node, configured and active, without `ros2`"),
        "doctor": Verb("caer_ros.doctor", "what this machine has, and which engine is chosen"),
    },
    "replay": {
        "make-bag": Verb("caer_ros.replay.make_bag", "a video or a folder of images as a bag"),
        "replay": Verb("caer_ros.replay.run", "a bag as a bag of emotions, a timeline, a report"),
        "play": Verb("caer_ros.player", "the images of a bag on their topics again"),
    },
    "train": {
        "train": Verb("caer_ros.training.train", "train CAER-Net on data sets in their layouts"),
        "evaluate": Verb("caer_ros.training.evaluate", "how good weights are on a data set"),
        "calibrate": Verb("caer_ros.training.calibrate", "how sure weights may be on film frames"),
        "cross-validate": Verb(
            "caer_ros.training.cross_validate", "a network on films that it was not trained on"
        ),
        "context-study": Verb(
            "caer_ros.training.context_study", "whether networks read the scene, on drawn ones"
        ),
    },
    "tools": {
        "export": Verb("caer_ros.network.export", "weights as ONNX, to run without torch"),
        "quantize": Verb("caer_ros.training.quantize", "weights in int8, with what that costs"),
        "inflate": Verb("caer_ros.network.inflate", "a CAER-Net-S as an initial video CAER-Net"),
        "build-engine": Verb("caer_ros.engines.build_engine", "compile weights ahead of time"),
        "benchmark": Verb("caer_ros.benchmark.run", "how fast engines, pipeline, node are here"),
    },
}
"""All verbs, in the order of `caer --help`."""

VERBS = {name: verb for group in GROUPS.values() for name, verb in group.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status: 2 for a usage error, a `CaerError`, a file that
    cannot be read or written, or a verb that needs a library which is not installed."""
    keep_opencv_to_one_thread()
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments else "--help"
    try:
        if name not in VERBS:
            _without_verb(name)
        module = importlib.import_module(VERBS[name].module)
        parser = argparse.ArgumentParser(
            prog=f"caer {name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parser)
        status = int(module.main(parser.parse_args(arguments)))
        sys.stdout.flush()
        return status
    except CaerError as error:
        # names in it may come from a bag or a message
        return _fail("\n".join(printable(line, 10_000) for line in str(error).splitlines()))
    except ModuleNotFoundError as error:
        return _fail(
            f"`caer {name}` needs the Python module {error.name}, which is not installed; "
            "README.md says which requirements/*.txt has what"
        )
    except BrokenPipeError:
        # whoever read the output has enough (`caer doctor | head`); nothing is left to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        return 130


def _without_verb(word: str) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="caer",
        usage="caer VERB [ARGUMENTS]",
        description="The emotions that the people in front of a robot's camera show.",
        epilog="\n\n".join(map(_list, GROUPS)) + "\n\n`caer VERB --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"caer_ros {package_version()}")
    if word.startswith("-"):
        parser.parse_args([word])
    near = difflib.get_close_matches(word, VERBS, n=1)
    hint = f"did you mean `caer {near[0]}`?" if near else "`caer --help` lists those there are"
    parser.error(f"there is no verb {word!r}; {hint}")


def _list(group: str) -> str:
    width = max(map(len, VERBS))
    lines = [f"  {name:{width}}  {verb.help}" for name, verb in GROUPS[group].items()]
    return "\n".join([f"{group}:", *lines])


def _fail(reason: str) -> int:
    print(f"caer: error: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
