# SPDX-License-Identifier: Apache-2.0
"""The `caer` command as a user meets it."""

import importlib
import os
import subprocess
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from caer_ros import cli
from caer_ros.cli import VERBS, Verb, main
from caer_ros.types import CaerError


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as exit:
        main([name, "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: caer {name}" in text
    assert importlib.import_module(VERBS[name].module).__doc__.splitlines()[0] in text


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_verb_all_are_listed(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 0
    text = capsys.readouterr().out
    for name, verb in VERBS.items():
        assert f"{name} " in text
        assert verb.help in text


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("repaly", "did you mean `caer replay`?"),
        ("dmeo", "did you mean `caer demo`?"),
        ("xyzzy", "`caer --help` lists those there are"),
    ],
)
def test_an_unknown_verb_is_named_with_the_nearest_there_is(word, hint, capsys):
    with pytest.raises(SystemExit) as exit:
        main([word])
    assert exit.value.code == 2
    assert f"caer: error: there is no verb {word!r}; {hint}" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"caer_ros {metadata.version('caer_ros')}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["benchmark", "--threads", "-1"], "--threads: '-1' is no whole number from 0 on"),
        (["benchmark", "--threads", "two"], "--threads: 'two' is no whole number from 0 on"),
        (["benchmark", "--json", "/nope/x.json"], "there is no folder /nope to write"),
        (["benchmark", "--png", "/"], "/ is a folder, not a file to write"),
        (["evaluate", "--data", "folder:x", "--json", "/nope/x.json"], "there is no folder /nope"),
        (["play", "bag", "--rate", "0"], "--rate: '0' is no number above 0"),
        (["play", "bag", "--rate", "fast"], "--rate: 'fast' is no number above 0"),
        (["inflate", "a", "b", "--clip-length", "1"], "'1' is no whole number from 2 on"),
        (["quantize", "a", "--data", "b", "--examples", "0"], "'0' is no whole number from 1 on"),
    ],
)
def test_a_wrong_argument_is_refused_in_words_before_any_work(arguments, error, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    assert error in capsys.readouterr().err
    assert not Path("/nope").exists()


@pytest.fixture
def verb(monkeypatch):
    """Return a function that puts a verb `try` into the table, which does what it is given."""

    def put(action):
        module = ModuleType("tried")
        module.add_arguments = lambda parser: parser.add_argument("word")
        module.main = action
        monkeypatch.setitem(VERBS, "try", Verb("tried", "for a test"))
        imported = importlib.import_module
        monkeypatch.setattr(
            cli.importlib,
            "import_module",
            lambda name: module if name == "tried" else imported(name),
        )

    return put


def test_a_verb_gets_its_arguments_and_gives_the_exit_status(verb):
    verb(lambda arguments: len(arguments.word))
    assert main(["try", "four"]) == 4


def test_an_error_is_one_line_without_traceback(verb, capsys):
    def fail(arguments):
        raise CaerError(f"{arguments.word} is wrong, use another")

    verb(fail)
    assert main(["try", "this"]) == 2
    assert capsys.readouterr().err == "caer: error: this is wrong, use another\n"


def test_a_file_that_cannot_be_read_is_named_without_traceback(verb, tmp_path, capsys):
    verb(lambda arguments: Path(arguments.word).read_bytes())
    assert main(["try", str(tmp_path / "nosuch")]) == 2
    assert capsys.readouterr().err == (
        f"caer: error: {tmp_path}/nosuch: No such file or directory\n"
    )


def test_a_reader_that_has_enough_ends_the_output_without_a_word(environment):
    read, write = os.pipe()
    os.close(read)
    command = [Path(environment) / "bin" / "caer", "doctor"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_library_that_is_not_installed_is_named_without_traceback(verb, capsys, monkeypatch):
    verb(lambda arguments: importlib.import_module("no_such_library.part"))
    assert main(["try", "this"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("caer: error: `caer try` needs the Python module no_such_library,")
    assert error.count("\n") == 1


def test_ctrl_c_ends_without_traceback(verb):
    def interrupt(arguments):
        raise KeyboardInterrupt

    verb(interrupt)
    assert main(["try", "this"]) == 130


def test_the_installed_command_lists_the_verbs(environment):
    command = Path(environment) / "bin" / "caer"
    listed = subprocess.run([command], capture_output=True, text=True, check=True)
    assert "make-bag" in listed.stdout
