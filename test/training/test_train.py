# SPDX-License-Identifier: Apache-2.0
import csv
import dataclasses
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from caer_ros.cli import main as caer
from caer_ros.engines.runtime import ov
from caer_ros.network.checkpoint import load_checkpoint, save_checkpoint
from caer_ros.network.inflate import inflate
from caer_ros.network.model import CaerNet
from caer_ros.network.spec import NetworkSpec, WeightsError
from caer_ros.settings import SettingError
from caer_ros.training.examples import DataError, Example, one_hot
from caer_ros.training.settings import NetworkSettings, TrainSettings, read_settings
from caer_ros.training.train import fit_temperature, read_splits, start_from, train
from caer_ros.types import CaerError, Emotion, Face

RECIPES = Path(__file__).parents[2] / "config" / "train"

CONFIG = """
epochs: 4
batch_size: 16
learning_rate: 0.05
schedule: one_cycle
soft_votes: true
balance: 0.3
ema: 0.8
first_face_size: 16
first_epochs: 2
workers: 0
network: {streams: face, face_size: 24}
augment: {flip: 0.5, noise: 0.3, occlusion: 0.2}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def ferplus(tmp_path):
    """FER+ archives whose pictures are brighter from class to class."""
    folder = tmp_path / "ferplus"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (("train", 96), ("valid", 35)):
        column = np.arange(count) % 7
        images = 30 * column[:, None, None] + rng.integers(0, 30, (count, 48, 48))
        votes = np.zeros((count, 10), np.uint8)
        votes[np.arange(count), column] = 10
        np.savez(folder / f"ferplus_{name}.npz", images=images.astype(np.uint8), votes=votes)
    return f"ferplus:{folder}"


def command(config, data, output):
    return ["train", str(config), "--data", data, "--output", str(output)]


CAER = "import sys; from caer_ros.cli import main; sys.exit(main(sys.argv[1:]))"


def train_until(stop, arguments):
    """Run `caer train` in a process of its own and kill it as soon as `stop` holds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", CAER, *arguments], env=environment)
    while process.poll() is None and not stop():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def one_thread():
    """Sums as in a process that was started with OMP_NUM_THREADS=1."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(config, ferplus, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    arguments = command(config, ferplus, broken)
    train_until((broken / "last.ckpt").exists, arguments)
    epoch = torch.load(broken / "last.ckpt", weights_only=True)["epoch"]
    assert epoch < 3
    assert caer(arguments) == 0
    assert caer(command(config, ferplus, whole)) == 0
    resumed, straight = (
        torch.load(run / "last.ckpt", weights_only=True) for run in (broken, whole)
    )
    assert resumed["epoch"] == straight["epoch"] == 3
    for name, tensor in straight["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], tensor), name
    kept, expected = (load_checkpoint(run / "weights.safetensors") for run in (broken, whole))
    assert kept.spec == expected.spec
    for name, tensor in expected.state_dict().items():
        assert torch.equal(kept.state_dict()[name], tensor), name


SMALL_FACE = NetworkSettings(streams="face", face_size=24)


@pytest.fixture
def full_disk():
    """Call it, and no file of this process grows beyond 4 MB: a third of a run's state."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_run_that_lost_its_data_or_its_disk_leaves_what_it_can_go_on_from(tmp_path, full_disk):
    settings = TrainSettings(epochs=3, batch_size=8, workers=0, network=SMALL_FACE)
    examples = scene_examples(8, 1)
    loads = iter(range(8 + 8 + 3))  # an epoch, its validation, and a little of the next

    def load_until_the_folder_is_gone():
        if next(loads, None) is None:
            raise DataError("clip 3 cannot be read")
        return examples[0].load()

    failing = [dataclasses.replace(e, load=load_until_the_folder_is_gone) for e in examples]
    with pytest.raises(DataError, match="clip 3 cannot be read"):
        train(settings, failing, failing, tmp_path, [], {})
    before = (tmp_path / "last.ckpt").read_bytes()
    full_disk()
    with pytest.raises(CaerError, match="stopped, the last epoch stays.*File too large"):
        train(settings, examples, examples, tmp_path, [], {})
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert load_checkpoint(tmp_path / "weights.safetensors")


def test_a_checkpoint_is_made_on_the_disk_it_stays_on(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    settings = TrainSettings(epochs=1, batch_size=4, workers=0, network=SMALL_FACE)
    train(settings, scene_examples(4, 1), scene_examples(4, 1), tmp_path, [], {})
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"last.ckpt", "logs", "run.json", "weights.safetensors"}


@pytest.mark.parametrize("kept", [0, 100, 0.9])
def test_a_truncated_checkpoint_of_a_run_is_refused_by_name(kept, tmp_path):
    settings = TrainSettings(epochs=1, batch_size=4, workers=0, network=SMALL_FACE)
    examples = scene_examples(4, 1)
    train(settings, examples, examples, tmp_path, [], {})
    last = tmp_path / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(CaerError, match=r"last\.ckpt is not whole, delete it"):
        train(settings, examples, examples, tmp_path, [], {})


def test_a_training_that_diverges_ends_with_what_to_change(tmp_path):
    settings = TrainSettings(
        epochs=2, batch_size=4, workers=0, learning_rate=1e30, network=SMALL_FACE
    )
    with pytest.raises(CaerError, match=r"epoch 1 ended .* not finite: lower learning_rate"):
        train(settings, scene_examples(8, 1), scene_examples(4, 1), tmp_path, [], {})
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize("accelerator", ["hpu", "abacus"])
def test_an_accelerator_that_is_not_there_is_named(accelerator, tmp_path):
    settings = TrainSettings(accelerator=accelerator, network=SMALL_FACE)
    with pytest.raises(CaerError, match=f"1 devices of accelerator '{accelerator}' cannot be"):
        train(settings, scene_examples(4, 1), scene_examples(4, 1), tmp_path, [], {})
    assert not any(tmp_path.iterdir())


def test_mixed_precision_computes_in_half_and_keeps_the_weights_whole(
    monkeypatch, tmp_path, capsys
):
    settings = TrainSettings(
        epochs=1, batch_size=4, workers=0, precision="bf16-mixed", network=SMALL_FACE
    )
    types = set()
    real = CaerNet.encode_face

    def watched(self, faces):
        vectors = real(self, faces)
        types.add(vectors.dtype)
        return vectors

    monkeypatch.setattr(CaerNet, "encode_face", watched)
    train(settings, scene_examples(4, 1), scene_examples(4, 1), tmp_path, [], {})
    assert types == {torch.bfloat16}
    has_bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert ("this processor emulates bf16" in capsys.readouterr().out) != has_bf16
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert {t.dtype for t in state.values() if t.is_floating_point()} == {torch.float32}


def test_training_learns_and_the_file_says_what_it_is(config, ferplus, tmp_path):
    assert caer(command(config, ferplus, tmp_path / "run")) == 0
    model = load_checkpoint(tmp_path / "run" / "weights.safetensors")
    spec = model.spec
    assert spec.trained == ("face",)
    assert spec.temperature != 1.0
    assert spec.provenance["data"] == "ferplus (96 train, 35 validation)"
    assert spec.provenance["seed"] == "0"
    # seven classes: chance is 0.14
    assert float(spec.provenance["validation_accuracy"]) > 0.25
    with (tmp_path / "run" / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row["train/loss"]) for row in rows if row["train/loss"]]
    judged = [float(row["validation/accuracy"]) for row in rows if row["validation/accuracy"]]
    assert len(losses) == len(judged) == 4
    assert f"{max(judged):.4f}" == spec.provenance["validation_accuracy"]


def test_the_commands_seed_stands_in_for_the_configs(config, ferplus, tmp_path, capsys):
    def run(name, seed, *arguments):
        config.write_text(CONFIG.replace("epochs: 4", "epochs: 1") + f"seed: {seed}\n")
        assert caer([*command(config, ferplus, tmp_path / name), *arguments]) == 0
        return load_checkpoint(tmp_path / name / "weights.safetensors")

    plain, named, other = run("plain", 3), run("named", 0, "--seed", "3"), run("other", 0)
    assert named.spec == plain.spec
    assert named.spec.provenance["seed"] == "3"
    assert torch.equal(named.classifier[0].weight, plain.classifier[0].weight)
    assert other.spec.provenance["seed"] == "0"
    assert not torch.equal(other.classifier[0].weight, plain.classifier[0].weight)
    assert caer([*command(config, ferplus, tmp_path / "none"), "--seed", "-1"]) == 2
    assert "seed is -1, the least allowed is 0" in capsys.readouterr().err


def test_an_epoch_is_a_line_and_nothing_else_is_said(config, ferplus, tmp_path):
    arguments = command(config, ferplus, tmp_path / "run")
    program = [sys.executable, "-m", "caer_ros.cli", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    *_, first, second, third, fourth, written = done.stdout.splitlines()
    for number, line in enumerate((first, second, third, fourth), 1):
        assert re.fullmatch(
            rf"epoch {number} of 4: loss \d\.\d{{3}}, validation accuracy 0\.\d{{4}}, "
            r"macro F1 0\.\d{4}, \d+ s",
            line,
        )
    assert written == str(tmp_path / "run" / "weights.safetensors")
    assert done.stderr == ""


def test_two_processes_train_one_network(config, ferplus, tmp_path):
    config.write_text(CONFIG + "accelerator: cpu\ndevices: 2\n")
    arguments = command(config, ferplus, tmp_path / "run")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "caer_ros.cli", *arguments], env=environment, check=True)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 3
    assert state["global_step"] == 4 * 96 // (2 * 16)
    assert load_checkpoint(tmp_path / "run" / "weights.safetensors").spec.trained == ("face",)


def test_dropout_is_the_recipes(monkeypatch, tmp_path):
    settings = TrainSettings(epochs=1, batch_size=8, workers=0, dropout=0.1, network=SMALL_FACE)
    shares = []
    real = torch.nn.functional.dropout

    def watched(values, p, training, inplace):
        if training:
            shares.append(p)
        return real(values, p, training, inplace)

    monkeypatch.setattr(torch.nn.functional, "dropout", watched)
    train(settings, scene_examples(8, 1), scene_examples(8, 1), tmp_path, [], {})
    assert shares == [0.1]


def test_a_finished_run_stays_as_it_is_and_another_is_refused(config, ferplus, tmp_path, capsys):
    def state():
        files = (path for path in (tmp_path / "run").iterdir() if path.is_file())
        return {path.name: path.read_bytes() for path in files}

    assert caer(command(config, ferplus, tmp_path / "run")) == 0
    before = state()
    assert caer(command(config, ferplus, tmp_path / "run")) == 0
    assert state() == before
    config.write_text(CONFIG.replace("ema: 0.8", "ema: 0.9"))
    assert caer(command(config, ferplus, tmp_path / "run")) == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_an_unknown_setting_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("learning_rat: 0.1")
    with pytest.raises(SettingError, match="'learning_rat'"):
        read_settings(path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_trains(path, tmp_path):
    settings = read_settings(path)
    first = min(settings.first_epochs, 1)
    settings = dataclasses.replace(
        settings, epochs=first + 1, first_epochs=first, batch_size=2, workers=0, accelerator="cpu"
    )
    examples = scene_examples(2, settings.network.clip_length)
    teacher = tmp_path / "teacher.safetensors"
    save_checkpoint(CaerNet(settings.network.spec()), teacher)
    teachers = [teacher] if settings.distillation else []
    train(settings, examples, examples, tmp_path, [], {}, teachers)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["global_step"] == settings.epochs
    trained = load_checkpoint(tmp_path / "weights.safetensors").spec
    assert trained.streams == settings.network.streams
    assert trained.trained


def test_files_of_one_name_in_two_sources_are_no_film_in_both_splits(tmp_path):
    def folder(name, *files):
        for file in files:
            path = tmp_path / name / "Happy" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
        return f"folder:{tmp_path / name}"

    numbered = [
        folder(name, *(f"{i:04}.png" for i in range(first, first + 10)))
        for name, first in (("a", 0), ("b", 3))
    ]
    train, validation, _ = read_splits(numbered, faces=True)
    assert {e.name for e in train} & {e.name for e in validation}
    assert (len(train), len(validation)) == (16, 4)
    films = [
        folder(name, *(f"Film{i}_000000001_00000001.png" for i in range(first, first + 10)))
        for name, first in (("c", 0), ("d", 1))
    ]
    with pytest.raises(DataError, match="Film1 is in both the training and the validation"):
        read_splits(films, faces=True)


def scene_examples(count, frames):
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (count, frames, 60, 80, 3), dtype=np.uint8)
    box = Face(20, 20, 40, 40)
    return [
        Example(str(i), str(i), one_hot(Emotion(i % 7)), partial(list, clip), (box,) * frames)
        for i, clip in enumerate(clips)
    ]


@pytest.mark.parametrize(
    "network",
    [
        NetworkSettings(face_size=32, context_size=32),
        NetworkSettings(face_size=32, context_size=32, context_attention="face_conditioned"),
        NetworkSettings(streams="context", context_size=32),
        NetworkSettings(architecture="caer_net", clip_length=8, face_size=32, context_size=32),
    ],
    ids=repr,
)
def test_scenes_train_every_stream(network, tmp_path):
    settings = TrainSettings(
        epochs=1, batch_size=4, workers=0, stream_dropout=0.5, network=network
    )
    examples = scene_examples(8, network.clip_length)
    train(settings, examples, examples, tmp_path, [], {})
    trained = load_checkpoint(tmp_path / "weights.safetensors")
    torch.manual_seed(settings.seed)
    fresh = CaerNet(network.spec())
    for name, parameter in trained.named_parameters():
        if parameter.dim() == 1:
            continue  # a bias before batch normalisation has no gradient
        assert not torch.equal(parameter, fresh.get_parameter(name).half().float()), name


def test_both_streams_start_from_each_alone(tmp_path):
    torch.manual_seed(0)
    paths = {}
    for stream in ("face", "context"):
        paths[stream] = tmp_path / f"{stream}.safetensors"
        model = CaerNet(NetworkSpec(streams=stream))
        save_checkpoint(model, paths[stream], torch.float32)
    both = CaerNet(NetworkSpec())
    start_from(both, list(paths.values()))
    face, context = (load_checkpoint(path) for path in paths.values())
    for part, source in (
        ("face_encoder", face),
        ("context_encoder", context),
        ("context_attention", context),
    ):
        for name, tensor in source.state_dict().items():
            if name.startswith(part):
                assert torch.equal(both.state_dict()[name], tensor)


def test_a_start_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "face.safetensors"
    save_checkpoint(inflate(CaerNet(NetworkSpec(streams="face"))), path)
    with pytest.raises(WeightsError, match="no stream that fits a caer_net_s"):
        start_from(CaerNet(NetworkSpec()), [path])


def test_the_fitted_temperature_undoes_a_scaling_of_the_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 7)) * 2
    noise = rng.gumbel(size=logits.shape)
    labels = (logits + noise).argmax(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3.0, abs=0.15)


def test_the_adjustment_lifts_rare_classes_and_is_part_of_the_weights(tmp_path):
    plain = TrainSettings(epochs=1, batch_size=8, workers=0, network=SMALL_FACE)
    examples = scene_examples(10, 1)  # classes 0, 1 and 2 twice, the others once
    biases = []
    for settings in (plain, dataclasses.replace(plain, logit_adjustment=0.5)):
        output = tmp_path / str(settings.logit_adjustment)
        train(settings, examples, examples, output, [], {})
        biases.append(load_checkpoint(output / "weights.safetensors").classifier[-1].bias)
    lifted = (biases[1] - biases[0]).tolist()
    shares = [0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1]
    assert lifted == pytest.approx([-0.5 * np.log(share) for share in shares], abs=2e-3)


def test_weights_to_start_from_that_do_not_exist_are_named(tmp_path, config, capsys):
    arguments = ["train", str(config), "--data", "synthetic:4", "--output", str(tmp_path / "run")]
    assert caer([*arguments, "--init", str(tmp_path / "nosuch.safetensors")]) == 2
    assert "nosuch.safetensors does not exist" in capsys.readouterr().err


def test_a_frozen_face_says_the_same_after_training_and_the_scene_has_learned(tmp_path):
    face = CaerNet(NetworkSpec(streams="face", face_size=24)).eval()
    save_checkpoint(face, tmp_path / "face.safetensors", torch.float32)
    settings = TrainSettings(
        epochs=1,
        batch_size=4,
        workers=0,
        frozen="encoders",
        anchor=0.1,
        scene_loss=0.5,
        gate=1.0,
        network=NetworkSettings(face_size=24, context_size=32),
    )
    examples = scene_examples(8, 1)
    train(settings, examples, examples, tmp_path / "run", [tmp_path / "face.safetensors"], {})
    both = load_checkpoint(tmp_path / "run" / "weights.safetensors")
    own, before = both.state_dict(), face.half().float().state_dict()
    for name in before:
        if name.startswith("face_encoder") and "num_batches" not in name:
            assert torch.equal(own[name], before[name]), name
    assert torch.equal(own["classifier.0.weight"][:, :256], before["classifier.0.weight"])
    assert torch.equal(own["classifier.3.weight"], before["classifier.3.weight"])
    assert own["classifier.0.weight"][:, 256:].abs().sum() > 0


def test_early_layers_stay_and_later_ones_learn(tmp_path):
    spec = NetworkSpec(architecture="caer_net", streams="face", face_size=24, clip_length=8)
    start = CaerNet(spec).eval()
    save_checkpoint(start, tmp_path / "start.safetensors", torch.float32)
    network = NetworkSettings("caer_net", streams="face", face_size=24, clip_length=8)
    settings = TrainSettings(epochs=1, batch_size=4, workers=0, frozen="early", network=network)
    examples = scene_examples(8, 1)
    train(settings, examples, examples, tmp_path / "run", [tmp_path / "start.safetensors"], {})
    own = load_checkpoint(tmp_path / "run" / "weights.safetensors").state_dict()
    learned = {
        int(name.split(".")[1])
        for name, before in start.half().float().state_dict().items()
        if name.startswith("face_encoder") and "num_batches" not in name
        if not torch.equal(own[name], before)
    }
    assert learned == {8, 9, 12, 13, 16, 17}
