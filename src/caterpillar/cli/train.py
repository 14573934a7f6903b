"""caterpillar train"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from caterpillar.checks import CaterpillarError
from caterpillar.cli import options

if TYPE_CHECKING:
    from caterpillar.cli.request import Request
    from caterpillar.datasets import Dataset
    from caterpillar.train import Epoch, State
    from caterpillar.train.run_directory import Config, Metrics, RunDirectory

MILESTONES = (80, 85, 88, 90, 91, 92, 93, 94, 95)  # percent; Li and Pedram 2017, Fig. 5, and one more


class Interrupted(CaterpillarError):
    """Ctrl-C while training; says what is kept and how to go on."""

    exit_status = 130


def train(
    network: options.GivenNetwork = None,
    rule: options.GivenRule = None,
    batch: options.GivenBatch = None,
    momentum: options.GivenMomentum = None,
    lr: options.GivenLearningRate = None,
    epochs: options.GivenEpochs = None,
    remedy: options.GivenRemedy = None,
    numerics: options.GivenNumerics = None,
    stochastic_rounding: options.GivenStochastic = None,
    samples: options.GivenSamples = None,
    seed: options.GivenSeed = None,
    data: options.GivenData = None,
    threads: options.Threads = 1,
    out: options.Out = None,
    resume: options.Resume = False,
    json: options.Json = False,
) -> None:
    """Train a network; accuracy is on the test images.

    With --out, a folder keeps config, versions, metrics, and a checkpoint.
    --resume goes on with it; options that are left out are the run's own.
    Only --threads may change then, and --epochs may grow.
    """
    from caterpillar.cli.output import print_json
    from caterpillar.cli.request import read_request

    asked: Config = {
        "network": network,
        "rule": rule,
        "batch": batch,
        "momentum": momentum,
        "learning_rate": lr,
        "epochs": epochs,
        "remedy": remedy,
        "numerics": numerics,
        "stochastic_rounding": stochastic_rounding,
        "samples": samples,
        "seed": seed,
        "data": data,
    }
    given = {field: value for field, value in asked.items() if value is not None}
    request = read_request(given, threads=threads, out=out, resume=resume)
    metrics, weights_sha256 = _run(request, out, resume=resume, quiet=json)
    if json:
        print_json(_document(request, metrics, weights_sha256))
    else:
        _print_end(metrics, weights_sha256, out)


def epochs_to(metrics: list[Metrics]) -> dict[str, int | None]:
    """Percent -> the first epoch whose accuracy (a fraction) reached it; None if none did."""
    return {
        str(percent): next((m["epoch"] for m in metrics if m["accuracy"] >= percent / 100), None)
        for percent in MILESTONES
    }


def _run(request: Request, out: Path | None, *, resume: bool, quiet: bool) -> tuple[list[Metrics], str]:
    """Train; give the metrics of all epochs (those before a resume too) and the fingerprint of the weights."""
    from caterpillar.cli.request import load_data
    from caterpillar.train import initial_state

    dataset = load_data(request)
    initial = initial_state(request.program, request.settings)
    if out is None:
        return _train(request, dataset, initial, None, quiet=quiet)
    with _open_run(request, dataset, out, resume=resume) as run:
        return _train(request, dataset, _restored(initial, run), run, quiet=quiet)


def _train(
    request: Request, dataset: Dataset, state: State, run: RunDirectory | None, *, quiet: bool
) -> tuple[list[Metrics], str]:
    from caterpillar.cli.progress import Bar
    from caterpillar.train import train as train_epochs

    program, samples, settings = request.program, dataset.train, request.settings
    metrics = run.metrics() if run else []
    if not quiet:
        _print_start(request, state, run)
    with Bar() as bar:

        def show(done: int) -> None:
            so_far = f", accuracy {metrics[-1]['accuracy']:.2%}" if metrics else ""
            bar.update(f"epoch {len(metrics) + 1} of {settings.epochs}{so_far}", done, len(samples))

        try:
            show(0)
            for epoch in train_epochs(program, samples, settings, test=dataset.test, state=state, on_progress=show):
                state = epoch.state
                line = _metrics(epoch)
                if run:
                    run.record(line, weights=state.weights, velocity=state.velocity)
                metrics.append(line)
                if not quiet:
                    bar.aside(lambda line=line: _print_epoch(line))
        except KeyboardInterrupt:
            raise Interrupted(_how_to_go_on(len(metrics), run)) from None
    return metrics, state.weights_sha256


def _metrics(epoch: Epoch) -> Metrics:
    return {
        "epoch": epoch.epoch,
        "train_loss": epoch.train_loss,
        "accuracy": epoch.accuracy,
        "train_seconds": epoch.train_seconds,
    }


def _open_run(request: Request, dataset: Dataset, out: Path, *, resume: bool) -> RunDirectory:
    from caterpillar.train.run_directory import create_run, resume_run, versions

    config = {**request.config, "data_sha256": dataset.sha256()}
    run = resume_run(out, config) if resume else create_run(out, config)
    run.note_versions({**versions(), "threads": request.settings.threads})
    return run


def _restored(state: State, run: RunDirectory) -> State:
    """The state that the run directory keeps, if it does; feedback comes from the seed again."""
    from dataclasses import replace

    checkpoint = run.checkpoint()
    if checkpoint is None:
        return state
    return replace(state, epoch=checkpoint.epoch, weights=checkpoint.weights, velocity=checkpoint.velocity)


def _document(request: Request, metrics: list[Metrics], weights_sha256: str) -> dict[str, Any]:
    fields = ("rule", "batch", "momentum", "remedy", "numerics", "stochastic_rounding")
    fields += ("seed", "samples", "data", "learning_rate")
    return {
        "network": request.network.name,
        "sizes": list(request.network.sizes),
        "activation": request.network.activation,
        **{field: request.config[field] for field in fields},
        "epochs": metrics,
        "epochs_to": epochs_to(metrics),
        "weights_sha256": weights_sha256,
    }


def _print_start(request: Request, state: State, run: RunDirectory | None) -> None:
    config = request.config
    momentum = f", momentum {config['momentum']:g}" if config["momentum"] else ""
    remedy = f", {config['remedy']}" if config["remedy"] != "none" else ""
    stochastic = " with stochastic rounding" if config["stochastic_rounding"] else ""
    typer.echo(
        f"{request.network.name}, {request.rule.label}{momentum}{remedy}, learning rate {config['learning_rate']:g}, "
        f"{config['samples']:,} samples an epoch, {config['numerics']}{stochastic}, seed {config['seed']}"
    )
    if state.epoch >= request.settings.epochs:
        typer.echo(f"Nothing to do: {state.epoch} of {request.settings.epochs} epochs are finished already.")
        return
    if run and state.epoch:
        typer.echo(f"Going on after epoch {state.epoch} of {run.path}.")
    typer.echo("epoch  train loss  accuracy, %  training, s")


def _print_epoch(line: Metrics) -> None:
    loss, percent, seconds = line["train_loss"], 100 * line["accuracy"], line["train_seconds"]
    typer.echo(f"{line['epoch']:5}  {loss:10.4g}  {percent:11.2f}  {seconds:11.2f}")


def _print_end(metrics: list[Metrics], weights_sha256: str, out: Path | None) -> None:
    reached = [f"{percent} % in {epoch}" for percent, epoch in epochs_to(metrics).items() if epoch is not None]
    typer.echo(f"epochs to accuracy: {', '.join(reached) or 'below 80 %'}")
    typer.echo(f"weights sha256: {weights_sha256}")
    if out is not None:
        typer.echo(f"run directory: {out}")


def _how_to_go_on(finished: int, run: RunDirectory | None) -> str:
    if run is None:
        return f"interrupted after {finished} epochs; nothing is kept (with --out DIR a run can be resumed)"
    return f"interrupted; {finished} epochs are kept: go on with caterpillar train --resume --out {run.path}"
