"""Commands that make a run and use it. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mura_core.cli.group import command
from mura_core.cli.options import (
    Bytes,
    data_options,
    explain_options,
    network_options,
    run_argument,
    size_option,
    step_options,
    training_options,
    validation_options,
)

if TYPE_CHECKING:
    from mura_core.runs import RunConfig


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


def _config(settings: dict[str, Any], gpu_memory: int | None = None) -> RunConfig:
    from mura_core.pipeline import fit_into_memory
    from mura_core.runs import RunConfig
    from mura_plugins.manager import load_plugins

    if settings["size"] is None:
        settings["size"] = load_plugins().architecture(settings["model"]).input_size
    config = RunConfig(**settings)
    return config if gpu_memory is None else fit_into_memory(config, gpu_memory)


# The commands ---------------------------------------------------------------------------------


@command(data_options, training_options, validation_options, explain_options)
def run(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train, judge and explain, and write a report: the default command."""
    from mura_core.pipeline import run_pipeline

    _refuse_changes(resume)
    run_pipeline(_config(settings, gpu_memory), out, resume=resume is not None)


@command(data_options, training_options, validation_options)
def train(out: Path, resume: Path | None, gpu_memory: int | None, **settings: Any) -> None:
    """Train a model and judge it on the validation images."""
    from mura_core.pipeline import evaluate_run, train_run, write_report

    _refuse_changes(resume)
    train_run(_config(settings, gpu_memory), out, resume=resume is not None)
    evaluate_run(out)
    write_report(out)


@command(
    network_options,
    size_option,
    step_options,
    click.option("--gpu-memory", type=Bytes(), default="8GiB", help="Of the GPU."),
)
def plan(gpu_memory: int, **settings: Any) -> None:
    """Say what memory a training would take, and how it fits a GPU, before it starts."""
    from mura_core.pipeline import plan_training

    click.echo(plan_training(_config(settings), gpu_memory))


@command(
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
    from mura_core.data import installed_readers, write_csv_by_part
    from mura_core.pipeline import (
        open_data,
        prepare_images,
        prepare_statistics,
        say_counts,
    )
    from mura_core.runs import RunConfig

    config = RunConfig(**settings) if size is None else RunConfig(size=size, **settings)
    readers = installed_readers()
    manifest = open_data(config.data, config.body_part, config.seed, readers=readers)
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
    from mura_core.pipeline import evaluate_run, write_report

    evaluate_run(folder, **settings)
    write_report(folder)


@command(
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
    from mura_core.pipeline import compare_runs

    table = compare_runs(*folders)
    if out is not None:
        write_csv(out, table)


@command(run_argument, explain_options)
def explain(folder: Path, explain: tuple[str, ...], **settings: Any) -> None:
    """Draw heatmaps for a trained run, and measure them where the data has boxes."""
    from mura_core.pipeline import explain_run, write_report

    explain_run(folder, explainers=explain, **settings)
    write_report(folder)


_model_file = click.option(
    "--model-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A run's model.keras.",
)


@command(
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
    from mura_core.pipeline import export_model_file

    export_model_file(model_file, out, file_format)


@command(
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
    from mura_core.pipeline import predict_by_models, predict_by_run

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
