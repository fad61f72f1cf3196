"""Commands that create and use runs. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mura_core.cli.group import command
from mura_core.cli.grouped_help import GroupedCommand
from mura_core.cli.options import (
    SETTINGS,
    Bytes,
    PathType,
    run_argument,
    run_options,
    setting_options,
)

if TYPE_CHECKING:
    from mura_core.runs import RunConfig


# Shared by several commands -------------------------------------------------------------------

_HEATMAPS = ("explain", "explain_images", "layer", "style")

_DATA = ("data", "body_part", "columns", "positive", "allow_outside")

_AS_IN_THE_RUN = {"default": None, "show_default": "as in the run"}


def _refuse_changes(resume: Path | None) -> None:
    """Raise a UsageError if a resumed run is given settings."""
    ctx = click.get_current_context()
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name not in ("resume", "quiet", "verbose")
        and ctx.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if resume is not None and given:
        raise click.UsageError(f"--resume uses the run's own settings; leave out {given[0]}")


def _config(settings: dict[str, Any], gpu_memory: int | None = None) -> RunConfig:
    from mura_core.pipeline import fit_into_memory
    from mura_core.runs import RunConfig
    from mura_plugins.manager import load_plugins

    if settings["size"] is None:
        settings["size"] = load_plugins().architecture(settings["model"]).input_size
    config = RunConfig(**settings)
    return config if gpu_memory is None else fit_into_memory(config, gpu_memory)


# The commands ---------------------------------------------------------------------------------


@command(
    setting_options(*SETTINGS),
    run_options,
    cls=GroupedCommand,
    example="mura-run --data MURA-v1.1 --recipe transfer --explain gradcam --out runs/1",
)
def run(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train, evaluate and explain a network, and write a report. The default command."""
    from mura_core.pipeline import run_pipeline

    _refuse_changes(resume)
    run_pipeline(_config(settings, gpu_memory), out, resume=resume is not None)


@command(
    setting_options(*(name for name in SETTINGS if name not in _HEATMAPS)),
    run_options,
    cls=GroupedCommand,
    example="mura-run train --data MURA-v1.1 --model resnet18 --augment flip --out runs/2",
)
def train(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train a network and evaluate it, without heatmaps."""
    from mura_core.pipeline import evaluate_run, train_run, write_report

    _refuse_changes(resume)
    train_run(_config(settings, gpu_memory), out, resume=resume is not None)
    evaluate_run(out)
    write_report(out)


@command(
    setting_options(
        "model",
        "model_option",
        "weights",
        "size",
        "batch_size",
        "accumulate",
        "mixed_precision",
        "rematerialise",
    ),
    click.option("--gpu-memory", type=Bytes(), default="8GiB", help="Memory of the GPU."),
)
def plan(gpu_memory: int, **settings: Any) -> None:
    """Estimate the memory that training takes, and how to make it fit a GPU."""
    from mura_core.pipeline import plan_training

    click.echo(plan_training(_config(settings), gpu_memory))


@command(
    setting_options(*_DATA, "size", "resize", "fit", "bit_depth", "window", "strict", "seed"),
    click.option(
        "--csv-by-part",
        type=PathType(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Also write the paths of the images to this folder, one CSV per split and body part.",
    ),
    click.option(
        "--statistics-only",
        is_flag=True,
        help="Keep only the mean and deviation image of the training images, not the images.",
    ),
)
def prepare(
    csv_by_part: Path | None, statistics_only: bool, size: int | None, **settings: Any
) -> None:
    """Read every image once and cache it for later runs."""
    from mura_core.data import installed_readers, write_csv_by_part
    from mura_core.pipeline import (
        open_data,
        prepare_images,
        prepare_statistics,
        say_counts,
    )
    from mura_core.runs import RunConfig

    config = RunConfig(**settings) if size is None else RunConfig(size=size, **settings)
    readers = installed_readers(window=config.window)
    manifest = open_data(
        config.data, config.body_part, config.seed, readers=readers, reading=config.reading
    )
    say_counts(config.data, manifest)
    if csv_by_part is not None:
        written = write_csv_by_part(manifest, csv_by_part)
        click.echo(f"Wrote {len(written)} path files to {csv_by_part}")
    if statistics_only:
        prepare_statistics(manifest, config, readers)
    else:
        prepare_images(manifest, config, readers)


@command(
    run_argument,
    setting_options("operating_point", "calibrate", "study_score", **_AS_IN_THE_RUN),
    click.option(
        "--split",
        type=click.Choice(["valid", "test"]),
        default="valid",
        help="Images to judge: valid, from the run's predictions, or test, which no run looks at"
        " unless asked here.",
    ),
)
def evaluate(folder: Path, split: str, **settings: str | None) -> None:
    """Evaluate the predictions of a run again, without its model, or judge its test images.

    The operating point and the calibration are chosen on the training patients that the run held
    out, or on its other folds.
    """
    from mura_core.pipeline import evaluate_run, evaluate_test, write_report

    (evaluate_test if split == "test" else evaluate_run)(folder, **settings)
    write_report(folder)


@command(
    click.argument(
        "folders",
        nargs=2,
        metavar="RUN RUN",
        type=PathType(exists=True, file_okay=False, path_type=Path),
    ),
    click.option(
        "--out",
        type=PathType(dir_okay=False, path_type=Path),
        help="CSV file to write, with every metric of every body part.",
    ),
)
def compare(folders: tuple[Path, Path], out: Path | None) -> None:
    """Compare two runs on the same images: the difference of each metric, with an interval."""
    from mura_core.files import refuse_unwritable, write_csv
    from mura_core.pipeline import compare_runs

    if out is not None:
        refuse_unwritable(out)
    table = compare_runs(*folders)
    if out is not None:
        write_csv(out, table)


@command(run_argument, setting_options(*_HEATMAPS, **_AS_IN_THE_RUN))
def explain(folder: Path, explain: tuple[str, ...], **settings: Any) -> None:
    """Draw and evaluate the heatmaps of a finished run."""
    from mura_core.pipeline import explain_run, write_report

    explain_run(folder, explainers=explain, **settings)
    write_report(folder)


_model_file = click.option(
    "--model-file",
    required=True,
    type=PathType(exists=True, dir_okay=False, path_type=Path),
    help="The model.keras of a run.",
)


@command(
    _model_file,
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["savedmodel", "onnx", "h5"]),
        default="savedmodel",
        help="Format of the file: TensorFlow's SavedModel, ONNX or Keras' older HDF5.",
    ),
    click.option(
        "--out",
        required=True,
        type=PathType(path_type=Path),
        help="File to write; a folder for savedmodel.",
    ),
)
def export(model_file: Path, file_format: str, out: Path) -> None:
    """Convert a trained model for other programs; it maps pixels to logits."""
    from mura_core.pipeline import export_model_file

    export_model_file(model_file, out, file_format)


@command(
    click.option(
        "--model-file",
        "model_files",
        multiple=True,
        type=PathType(exists=True, dir_okay=False, path_type=Path),
        help="A model.keras instead of RUN; repeat to average several. Gives no verdicts.",
    ),
    click.option(
        "--flip",
        is_flag=True,
        help="With --model-file: average the probabilities of each image and its mirror image.",
    ),
    click.option(
        "--window",
        default="",
        metavar="CENTRE,WIDTH",
        show_default=SETTINGS["window"].shown_default,
        help="With --model-file: window of DICOM images. A run has its own.",
    ),
    click.option(
        "--explain",
        multiple=True,
        metavar="NAME",
        help="With RUN: draw heatmaps with this method, such as gradcam, or with all; repeat for"
        " several.",
    ),
    click.option(
        "--out",
        type=PathType(path_type=Path),
        show_default="the console",
        help="CSV file to write; with --explain, a new folder for it, the heatmaps and a page.",
    ),
    click.argument(
        "images",
        nargs=-1,
        required=True,
        metavar="[RUN] IMAGES...",
        type=PathType(exists=True, path_type=Path),
    ),
)
def predict(
    model_files: tuple[Path, ...],
    flip: bool,
    window: str,
    explain: tuple[str, ...],
    out: Path | None,
    images: tuple[Path, ...],
) -> None:
    """Predict new images, given as files or folders, with a finished run.

    Averages all networks of the run folder RUN and applies its calibration, operating point and
    study score. The images of one folder count as one study.
    """
    from mura_core.files import as_csv, refuse_unwritable, write_csv
    from mura_core.pipeline import predict_by_models, predict_by_run

    if model_files and explain:
        raise click.UsageError("--explain needs a run: name its folder instead of --model-file")
    if flip and not model_files:
        raise click.UsageError(
            "--flip needs --model-file: a run averages mirror images if it was trained with"
            " --average-flips"
        )
    if window and not model_files:
        raise click.UsageError("--window needs --model-file: a run uses the window of its training")
    if out is not None and not explain:
        refuse_unwritable(out)
    if model_files:
        table = predict_by_models(model_files, images, flip=flip, window=window)
    else:
        table = predict_by_run(images[0], images[1:], explainers=explain, out=out)
    if explain:
        return
    if out is None:
        click.echo(as_csv(table), nl=False)
    else:
        write_csv(out, table)
