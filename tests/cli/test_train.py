"""caterpillar train: its JSON, its run directory, kills and resuming, and what is refused."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caterpillar.cli.train import epochs_to

TASK_OPTIONS = ("--samples", 100, "--lr", 0.05)


def task(tiny: Path, *more: object) -> tuple[object, ...]:
    return ("train", "--network", tiny / "net.toml", "--data", tiny, *TASK_OPTIONS, *more)


def lines_of(path: Path) -> list[dict]:
    """Whole lines only: the last may be under way."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def without_time(document: dict) -> dict:
    return {**document, "epochs": [{k: v for k, v in e.items() if k != "train_seconds"} for e in document["epochs"]]}


def test_json(run, tiny):
    document = run(*task(tiny, "--rule", "cp", "--epochs", 3, "--seed", 5, "--json")).document
    assert {field: document[field] for field in ("network", "rule", "batch", "numerics", "seed", "samples")} == {
        "network": "12-10-4",
        "rule": "cp",
        "batch": 1,
        "numerics": "fp32",
        "seed": 5,
        "samples": 100,
    }
    assert document["learning_rate"] == 0.05
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2, 3]
    assert set(document["epochs"][0]) == {"epoch", "train_loss", "accuracy", "train_seconds"}
    assert document["epochs"][2]["train_loss"] < document["epochs"][0]["train_loss"]
    assert all(0 <= epoch["accuracy"] <= 1 for epoch in document["epochs"])
    assert list(document["epochs_to"]) == ["80", "85", "88", "90", "91", "92", "93", "94", "95"]
    assert document["epochs_to"] == epochs_to(document["epochs"])
    assert len(bytes.fromhex(document["weights_sha256"])) == 32


def test_epochs_to_takes_the_first_epoch_and_counts_equality():
    metrics = [{"epoch": i, "accuracy": a} for i, a in enumerate((0.1, 0.85, 0.9299, 0.84, 0.93), start=1)]
    reached = epochs_to(metrics)
    assert (reached["80"], reached["85"], reached["92"], reached["93"], reached["94"]) == (2, 2, 3, 5, None)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(run, tiny):
    runs = [run(*task(tiny, "--epochs", 2, "--seed", seed, "--json")).document for seed in (1, 1, 2)]
    assert without_time(runs[0]) == without_time(runs[1])
    assert runs[0]["weights_sha256"] != runs[2]["weights_sha256"]


def test_table_and_run_directory(run, tiny, tmp_path):
    out = tmp_path / "new" / "run"
    ran = run(*task(tiny, "--rule", "mbgd", "--batch", 4, "--epochs", 2, "--out", out))
    assert ran.status == 0
    assert ran.out.startswith("12-10-4, mbgd4, learning rate 0.05, 100 samples an epoch, fp32, seed 0\n")
    assert "epoch  train loss  accuracy, %  training, s\n    1 " in ran.out
    assert ran.out.endswith(f"run directory: {out}\n")
    assert sorted(file.name for file in out.iterdir()) == [
        "checkpoint.npz",
        "config.json",
        "metrics.jsonl",
        "versions.jsonl",
    ]
    config = json.loads((out / "config.json").read_text())
    assert config["network"] == {"sizes": [16, 12, 10, 4], "activation": "relu"}
    assert (config["rule"], config["batch"], config["learning_rate"], config["seed"]) == ("mbgd", 4, 0.05, 0)
    (versions,) = lines_of(out / "versions.jsonl")
    assert {"python", "numpy", "numba", "caterpillar-cgra", "cpu_features", "threads"} <= set(versions)
    assert [line["epoch"] for line in lines_of(out / "metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize(
    "options",
    [
        ("--rule", "cp"),
        ("--rule", "dfa", "--batch", 4, "--momentum", 0.5),
        ("--rule", "cp", "--momentum", 0.9, "--remedy", "prediction"),
        ("--rule", "mbcp", "--batch", 2, "--momentum", 0.9, "--remedy", "spike", "--numerics", "fp16-fp32acc"),
        ("--numerics", "fp16", "--stochastic-rounding"),
    ],
)
def test_a_prolonged_run_is_the_long_run(run, tiny, tmp_path, options):
    whole = run(*task(tiny, *options, "--epochs", 4, "--json")).document
    run(*task(tiny, *options, "--epochs", 2, "--out", tmp_path / "run"))
    resumed = run("train", "--resume", "--out", tmp_path / "run", "--epochs", 4, "--json").document
    assert without_time(resumed) == without_time(whole)


def test_every_remedy_and_way_of_rounding_trains_otherwise(run, tiny):
    half = ("--rule", "cp", "--momentum", 0.9, "--numerics", "fp16-fp32acc")
    ways = [(), ("--remedy", "spike"), ("--remedy", "prediction"), ("--stochastic-rounding",)]
    documents = [run(*task(tiny, *half, *way, "--epochs", 1, "--json")).document for way in ways]
    assert [document["remedy"] for document in documents] == ["none", "spike", "prediction", "none"]
    assert [document["stochastic_rounding"] for document in documents] == [False, False, False, True]
    assert len({document["weights_sha256"] for document in documents}) == len(ways)
    shown = run(*task(tiny, *half, *ways[1], "--epochs", 0)).out
    assert shown.startswith("12-10-4, cp, momentum 0.9, spike, learning rate 0.05, 100 samples an epoch, fp16-fp32acc")


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "caterpillar", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_epochs(process: subprocess.Popen, metrics: Path, count: int) -> None:
    deadline = time.monotonic() + 240
    while len(lines_of(metrics)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_kills_lose_the_epoch_under_way_at_most(run, tiny, tmp_path):
    out = tmp_path / "run"
    command = task(tiny, "--rule", "cp", "--epochs", 1_000_000, "--out", out)
    for kill in range(3):
        seen = len(lines_of(out / "metrics.jsonl"))
        process = start(*command, *(("--resume",) if kill else ()))
        wait_for_epochs(process, out / "metrics.jsonl", seen + 3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(lines_of(out / "metrics.jsonl")) >= seen + 3
    target = len(lines_of(out / "metrics.jsonl")) + 2
    resumed = run(*task(tiny, "--rule", "cp", "--epochs", target, "--out", out, "--resume", "--json")).document
    whole = run(*task(tiny, "--rule", "cp", "--epochs", target, "--json")).document
    assert without_time(resumed) == without_time(whole)
    assert len(lines_of(out / "versions.jsonl")) == 4


@pytest.mark.parametrize("keep", [True, False])
def test_an_interrupt_is_one_line_that_says_how_to_go_on(tiny, tmp_path, keep):
    out = tmp_path / "run"
    kept = ("--out", out) if keep else ()
    process = start(*task(tiny, "--epochs", 1_000_000, *kept))
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(3)]
    assert shown[2].startswith("    1 ")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("\n") == 1
    if keep:
        assert err.endswith(f"epochs are kept: go on with caterpillar train --resume --out {out}\n")
    else:
        assert err.endswith("; nothing is kept (with --out DIR a run can be resumed)\n")


def test_resuming_a_finished_run_says_so(run, tiny, tmp_path):
    out = tmp_path / "run"
    first = run(*task(tiny, "--epochs", 2, "--out", out, "--json")).document
    again = run("train", "--resume", "--out", out)
    assert again.status == 0
    assert "Nothing to do: 2 of 2 epochs are finished already.\n" in again.out
    assert run("train", "--resume", "--out", out, "--json").document == first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lr", 0.1), "learning_rate of the run {out} is 0.05, got 0.1; it cannot change"),
        (("--rule", "cp"), 'rule of the run {out} is "sgd", got "cp"; it cannot change'),
        (("--seed", 3), "seed of the run {out} is 0, got 3; it cannot change"),
        (("--samples", 50), "samples of the run {out} is 100, got 50; it cannot change"),
        (("--network", "10"), 'network of the run {out} is {{"sizes": [16, 12, 10, 4], "activation": "relu"}}, got '),
        (("--data", "mnist"), None),
    ],
)
def test_resuming_with_another_option_is_refused(run, refused, tiny, tmp_path, options, message):
    out = tmp_path / "run"
    run(*task(tiny, "--epochs", 1, "--out", out))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    line = refused("train", "--resume", "--out", out, *options)
    if message is None:
        assert line == "--network has 16 inputs, but an image of mnist has 784 pixels"
    else:
        assert line.startswith("--resume: " + message.format(out=out))
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_resuming_on_other_images_is_refused(run, refused, tiny, tmp_path):
    data, out = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for file in tiny.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
    run(*task(data, "--epochs", 1, "--out", out))
    images = data / "t10k-images-idx3-ubyte"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(bytes(content))
    assert refused("train", "--resume", "--out", out).startswith("--resume: data_sha256 of the run ")


def test_an_existing_run_is_refused_and_untouched(run, refused, tiny, tmp_path):
    out = tmp_path / "run"
    run(*task(tiny, "--epochs", 1, "--out", out))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert refused(*task(tiny, "--epochs", 1, "--out", out)).startswith(f"--out {out} holds a run already; go on with")
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_file_in_the_runs_place(refused, tiny, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert refused(*task(tiny, "--out", tmp_path / "file")).endswith("file is a file; it must be a new or empty folder")
    assert refused(*task(tiny, "--out", tmp_path / "file" / "run")).endswith("cannot be made: Not a directory")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("json", [(), ("--json",)])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--network", "500-abc"), "--network must be layer sizes joined with dashes, such as 500-500-500-10, or a"),
        (("--network", "0-10"), "Network.sizes must be an int in [1, 65536] neurons, got 0"),
        (("--network", "20-9"), "--network has 9 outputs, but mnist has 10 classes"),
        (("--rule", "adam"), "--rule must be one of sgd, mbgd, fa, dfa, cp, mbcp, got 'adam'"),
        (("--rule", "mbgd", "--batch", 0), "--batch must be an int in [1, 65536] samples, got 0"),
        (("--batch", 0), "--batch must be 1 for sgd (the batched rule is mbgd), got 0"),
        (("--epochs", -1), "--epochs must be an int in [0, 1000000] epochs, got -1"),
        (("--samples", 0), "--samples must be an int in [1, 60000] training images, got 0"),
        (("--samples", 60001), "--samples must be an int in [1, 60000] training images, got 60001"),
        (("--lr", 0), "--lr must be a number in ["),
        (("--lr", "nan"), "--lr must be a number in ["),
        (("--lr", "fast"), "Invalid value for '--lr': must be a number, got 'fast'"),
        (("--momentum", 1), "--momentum must be a number in [0, 0.9999], got 1.0"),
        (
            ("--rule", "cp", "--momentum", 0.9, "--remedy", "hope"),
            "--remedy must be one of none, spike, prediction, got",
        ),
        (
            ("--rule", "cp", "--remedy", "spike"),
            "--remedy spike needs --rule cp or mbcp, and --momentum above 0; got cp",
        ),
        (
            ("--momentum", 0.9, "--remedy", "spike"),
            "--remedy spike needs --rule cp or mbcp, and --momentum above 0; got",
        ),
        (("--stochastic-rounding",), "--stochastic-rounding must be False for fp32 (it needs 16-bit numerics)"),
        (("--threads", 0), "--threads must be an int in [1, "),
        (("--seed", -1), "--seed must be an int in [0, 9223372036854775807], got -1"),
        (("--numerics", "fp9"), "--numerics must be one of fp32"),
        (("--data", "nowhere"), "--data folder nowhere does not exist; it must hold MNIST's four IDX files"),
        (("--out", "/proc/nowhere/run"), "--out /proc/nowhere/run cannot be made: No such file or directory"),
        (("--resume",), "--resume needs --out, the run directory to go on with"),
        (("--resume", "--out", "nowhere"), "--resume: nowhere holds no run (config.json is missing)"),
    ],
)
def test_refusals(refused, options, message, json):
    assert refused("train", *options, *json).startswith(message)


def test_a_folder_that_lacks_a_file_or_holds_a_damaged_one(refused, tiny, tmp_path):
    for file in tiny.glob("*-ubyte"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    assert refused(*task(tmp_path)) == f"--network file {tmp_path}/net.toml cannot be read: No such file or directory"
    (tmp_path / "net.toml").write_text("sizes = [16, 4]\n")
    assert refused(*task(tmp_path)).startswith(f"{labels} is truncated: 120 values declared, 119 of 120 bytes there")
    labels.unlink()
    assert refused(*task(tmp_path)).endswith("has no train-labels-idx1-ubyte and no train-labels-idx1-ubyte.gz")
    (tmp_path / "net.toml").write_text("sizes = [16, 3]\n")
    labels.write_bytes((tiny / labels.name).read_bytes())
    assert "is not in [0, 2]" in refused(*task(tmp_path))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("network", 5, "network is 5"),
        ("network", {"sizes": [16, 4]}, 'network is {"sizes": [16, 4]}'),
        ("data", 7, "data is 7"),
        ("batch", "1", 'batch is "1"'),
        ("seed", None, "seed is null"),
    ],
)
def test_a_damaged_config_is_refused(run, refused, tiny, tmp_path, field, value, message):
    out = tmp_path / "run"
    run(*task(tiny, "--epochs", 1, "--out", out))
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, field: value}))
    assert refused("train", "--resume", "--out", out) == f"{out}/config.json is damaged: {message}"


def test_divergence_is_one_line_and_status_1(run, tiny):
    ran = run(*task(tiny, "--rule", "cp", "--lr", 1000, "--json"))
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("error: training diverged: ")
    assert ran.err.count("\n") == 1


def test_a_progress_bar_is_on_stderr_and_only_on_a_terminal(tiny):
    """stderr is a terminal, stdout a pipe: the bar goes to the one, the table to the other."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "caterpillar", *map(str, task(tiny, "--epochs", 3))]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert b"epoch 1 of 3" in shown
    assert b"epoch 3 of 3, accuracy " in shown
    assert [line[:6].strip() for line in out.splitlines()[2:5]] == ["1", "2", "3"]
    assert "\x1b" not in out


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
