"""The command `mura-run`. What a command needs is imported when it runs."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mura_core.errors import MuraError
from mura_core.options import (
    Bytes,
    data_options,
    explain_options,
    network_options,
    run_argument,
    size_option,
    step_options,
    training_options,
    validation_options,
    verbosity_options,
)

if TYPE_CHECKING:
    from mura_core.run_folder import RunConfig

_NOT_A_DEVICE = "For research and teaching: not a medical device, never in place of a radiologist."


class _WithDefaultCommand(click.Group):
    """`mura-run --model conv4` means `mura-run run --model conv4`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "--version"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_WithDefaultCommand, epilog=_NOT_A_DEVICE)
@click.version_option(package_name="mura-run")
def main() -> None:
    """Train, judge and explain classifiers of musculoskeletal radiographs.

    Options without a command are those of `run`: mura-run --model conv4 --explain gradcam
    trains on the embedded phantoms, and --data FOLDER on your own radiographs.
    """


# What commands have in common -----------------------------------------------------------------


def _refuse_changes(resume: Path | None) -> None:
    """Raise a UsageError if a run that goes on is asked for with other settings."""
    ctx = click.get_current_context()
    given = [
        name
        for name in ctx.params
        if name != "resume"
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if resume is not None and given:
        option = "--" + given[0].replace("_", "-")
        raise click.UsageError(f"--resume goes on with the run's own settings; leave out {option}")


def _command(*some: Callable[[Any], Any]) -> Callable[[Any], click.Command]:
    """Make a command with these options, whose failures are one line and an exit status."""

    def decorate(function: Any) -> click.Command:
        @functools.wraps(function)
        def guarded(*, quiet: bool, verbose: bool, **arguments: Any) -> None:
            _set_up_logging(quiet, verbose)
            # A file that claims absurdly many pixels is an error, not a remark on the console.
            warnings.filterwarnings("error", message=".*decompression bomb.*")
            try:
                function(**arguments)
            except KeyboardInterrupt:
                from mura_core.run import what_is_safe

                _stop("Stopped", what_is_safe(arguments.get("out")), 130)
            except MuraError as error:
                _stop("Error", str(error), error.exit_status)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                _stop("Error", f"{where}{error.strerror or error}", 1)
            except Exception as error:
                from mura_plugins.manager import PluginError

                if not isinstance(error, PluginError):
                    raise
                _stop("Error", str(error), 2)

        for option in reversed((*some, verbosity_options)):
            guarded = option(guarded)
        return main.command(context_settings={"show_default": True}, epilog=_NOT_A_DEVICE)(guarded)

    return decorate


def _stop(kind: str, message: str, status: int) -> None:
    click.echo(f"{kind}: {message}", err=True)
    sys.exit(status)


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints on, or not at all once nobody reads along any more, as after `| head`."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Leave the work to go on without a reader."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)


def _set_up_logging(quiet: bool, verbose: bool) -> None:
    log = logging.getLogger("mura")
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    # Results go to standard output, which may be piped on; warnings don't.
    results, warned = _Console(sys.stdout), _Console(sys.stderr)
    results.addFilter(lambda record: record.levelno < logging.WARNING)
    warned.setLevel(logging.WARNING)
    log.handlers = [results, warned]


def _config(settings: dict[str, Any], gpu_memory: int | None = None) -> RunConfig:
    from mura_core.run import fit_into
    from mura_core.run_folder import RunConfig
    from mura_plugins.manager import load_plugins

    if settings["size"] is None:
        settings["size"] = load_plugins().architecture(settings["model"]).input_size
    config = RunConfig(**settings)
    return config if gpu_memory is None else fit_into(config, gpu_memory)


# The commands ---------------------------------------------------------------------------------


@_command(data_options, training_options, validation_options, explain_options)
def run(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train, judge and explain, and write a report: the default command."""
    from mura_core.run import run

    _refuse_changes(resume)
    run(_config(settings, gpu_memory), out, resume=resume is not None)


@_command(data_options, training_options, validation_options)
def train(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train a model and judge it on the validation images."""
    from mura_core.judging import evaluate
    from mura_core.run import train, write_report

    _refuse_changes(resume)
    train(_config(settings, gpu_memory), out, resume=resume is not None)
    evaluate(out)
    write_report(out)


@_command(
    network_options,
    size_option,
    step_options,
    click.option("--gpu-memory", type=Bytes(), default="8GiB", help="Of the GPU."),
)
def plan(gpu_memory: int, **settings: Any) -> None:
    """Say what memory a training would take, and how it fits a GPU, before it starts."""
    from mura_core.run import plan

    click.echo(plan(_config(settings), gpu_memory))


@_command(
    data_options,
    click.option(
        "--csv-by-part",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Write the images' paths there too, a CSV a split and body part.",
    ),
    click.option(
        "--statistics-only",
        is_flag=True,
        help="Keep the training images' mean and deviation image alone, not the images.",
    ),
)
def prepare(
    csv_by_part: Path | None, statistics_only: bool, size: int | None, **settings: Any
) -> None:
    """Read every image once, and keep it in the cache for later runs."""
    from mura_core.data import (
        open_data,
        plugin_readers,
        prepare_images,
        prepare_statistics,
        say_counts,
    )
    from mura_core.manifest import write_csv_by_part
    from mura_core.run_folder import RunConfig
    from mura_plugins.manager import load_plugins

    config = RunConfig(**settings) if size is None else RunConfig(size=size, **settings)
    manifest = open_data(config.data, config.body_part, config.seed)
    say_counts(config.data, manifest)
    if csv_by_part is not None:
        written = write_csv_by_part(manifest, csv_by_part)
        click.echo(f"Wrote {len(written)} path files to {csv_by_part}")
    readers = plugin_readers(load_plugins())
    if statistics_only:
        prepare_statistics(manifest, config, readers)
    else:
        prepare_images(manifest, config, readers)


@_command(
    run_argument,
    click.option(
        "--operating-point",
        metavar="RULE",
        show_default="as before",
        help="A probability, youden, sensitivity=0.95, specificity=0.9, or two points:"
        " sensitivity=0.95,specificity=0.95.",
    ),
    click.option(
        "--calibrate",
        type=click.Choice(["none", "temperature", "isotonic"]),
        show_default="as before",
        help="Probabilities.",
    ),
    click.option(
        "--study-score",
        type=click.Choice(["mean", "max", "noisy-or"]),
        show_default="as before",
        help="A study's probability, and a patient's, from its images'.",
    ),
)
def evaluate(folder: Path, **settings: str | None) -> None:
    """Judge a run's predictions once more, without its model.

    Operating point and calibration are chosen on what the run held out of its training for that,
    or on its other folds.
    """
    from mura_core.judging import evaluate
    from mura_core.run import write_report

    evaluate(folder, **settings)
    write_report(folder)


@_command(
    click.argument(
        "folders",
        nargs=2,
        metavar="RUN RUN",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
    ),
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A CSV to write, with every figure of every body part.",
    ),
)
def compare(folders: tuple[Path, Path], out: Path | None) -> None:
    """Compare two runs that judged the same images: each figure's difference, with an interval."""
    from mura_core.files import write_csv
    from mura_core.judging import compare

    table = compare(*folders)
    if out is not None:
        write_csv(out, table)


@_command(run_argument, explain_options)
def explain(folder: Path, explain: tuple[str, ...], **settings: Any) -> None:
    """Draw heatmaps for a trained run, and measure them where the data has boxes."""
    from mura_core.explaining import explain as explain_run
    from mura_core.run import write_report

    explain_run(folder, explainers=explain, **settings)
    write_report(folder)


_model_file = click.option(
    "--model-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run's model.keras.",
)


@_command(
    _model_file,
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["savedmodel", "onnx", "h5"]),
        default="savedmodel",
        help="TensorFlow's, everybody's, or Keras' older one.",
    ),
    click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path),
        help="The file, or for savedmodel the folder, to write.",
    ),
)
def export(model_file: Path, file_format: str, out: Path) -> None:
    """Write a trained model for other programs: raw images in, logits out."""
    from mura_core.run import export

    export(model_file, out, file_format)


@_command(
    click.option(
        "--model-file",
        "model_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="In place of RUN: a model.keras; of several, the mean of their probabilities. There"
        " are no verdicts.",
    ),
    click.option(
        "--flip",
        is_flag=True,
        help="With --model-file: the mean with the mirrored image's probability, too.",
    ),
    click.option(
        "--explain",
        multiple=True,
        metavar="NAME",
        help="With RUN: draw heatmaps by this method, such as gradcam; repeat for several, or all.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        show_default="the console",
        help="The CSV to write; with --explain, a new folder for it, the heatmaps and a page.",
    ),
    click.argument(
        "images",
        nargs=-1,
        required=True,
        metavar="[RUN] IMAGES...",
        type=click.Path(exists=True, path_type=Path),
    ),
)
def predict(
    model_files: tuple[Path, ...],
    flip: bool,
    explain: tuple[str, ...],
    out: Path | None,
    images: tuple[Path, ...],
) -> None:
    """Predict new images, files or folders of them, by a run as it was judged.

    All the networks of the run folder RUN are averaged, and its calibration, operating point and
    study score are applied. The images of one folder are taken for one study.
    """
    from mura_core.files import write_csv
    from mura_core.predicting import predict_by_models, predict_by_run

    if model_files and explain:
        raise click.UsageError("--explain needs a run: name its folder in place of --model-file")
    if flip and not model_files:
        raise click.UsageError(
            "--flip needs --model-file: a run averages mirror images if it was judged so"
        )
    if out is not None and out.is_dir() and not explain:
        raise click.UsageError(f"--out {out} is a folder; name a CSV to write")
    if model_files:
        table = predict_by_models(model_files, images, flip=flip)
    else:
        table = predict_by_run(images[0], images[1:], explainers=explain, out=out)
    if explain:
        return
    if out is None:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        write_csv(out, table)


@_command(click.option("--json", "as_json", is_flag=True, help="For programs to read."))
def plugins(as_json: bool) -> None:
    """List architectures, explainers and readers, and who provides them."""
    from dataclasses import asdict

    from mura_plugins.manager import load_plugins

    found = load_plugins()
    kinds: dict[str, list[Any]] = {
        "architecture": found.architectures,
        "explainer": found.explainers,
        "reader": found.readers,
    }
    rows = [
        {
            "kind": kind,
            "name": offer.record.name,
            "summary": offer.record.summary,
            **({"weights": offer.record.weights} if kind == "architecture" else {}),
            "distribution": offer.distribution,
            "version": offer.version,
        }
        for kind, offers in kinds.items()
        for offer in offers
    ]
    if as_json:
        failures = [asdict(failure) for failure in found.failures]
        click.echo(json.dumps({"plugins": rows, "failures": failures}, indent=1))
        return
    for row in rows:
        provider = f"{row['distribution']} {row['version']}"
        click.echo(f"{row['kind']:<13} {row['name']:<20} {row['summary']}  ({provider})")
        if row.get("weights"):
            click.echo(f"{'':<34} --weights {row['weights']}")
    for failure in found.failures:
        click.echo(
            f"failed        {failure.plugin:<20} {failure.reason}  ({failure.distribution})",
            err=True,
        )


@_command(
    click.option(
        "--model",
        "networks",
        multiple=True,
        metavar="NAME",
        show_default="conv4, resnet18 and efficientnet-lite0",
        help="Architecture to train; repeat for several.",
    ),
    click.option(
        "--size",
        type=click.IntRange(min=32),
        show_default="64, with a GPU 224",
        help="Side of the images, in pixels.",
    ),
    click.option("--quick", is_flag=True, help="Fewer checks: a minute on two cores, not five."),
    click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=lambda: Path("device-check") / f"{datetime.now():%Y%m%d-%H%M%S}",
        show_default="device-check/<time>",
        help="The folder for the page of results.",
    ),
)
def check_device(networks: tuple[str, ...], size: int | None, quick: bool, out: Path) -> None:
    """Check that this machine's CPU and GPUs train and explain as they should.

    Trains small networks for a few steps on every device, compares their losses with the CPU's,
    measures memory and speed, and writes a page of results. Exit status 1 if a check fails.
    """
    from mura_core.device_check import check_device, plan_for
    from mura_plugins.manager import load_plugins

    plugins = load_plugins()
    for name in networks:
        plugins.architecture(name)
    check_device(plan_for(networks, size, quick=quick), out)


if __name__ == "__main__":
    main()
