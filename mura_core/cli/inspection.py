"""Commands that inspect the installation and the machine."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mura_core.cli.group import command
from mura_core.cli.options import PathType, setting_options
from mura_core.errors import DataError, printable


@command(click.option("--json", "as_json", is_flag=True, help="Print JSON."))
def plugins(as_json: bool) -> None:
    """List the installed architectures, explainers, readers and layouts."""
    from dataclasses import asdict

    from mura_plugins.manager import load_plugins

    found = load_plugins()
    kinds: dict[str, list[Any]] = {
        "architecture": found.architectures,
        "explainer": found.explainers,
        "reader": found.readers,
        "layout": found.layouts,
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


@command(
    click.argument("name"),
    click.option(
        "--example",
        "examples",
        multiple=True,
        metavar="PATH",
        type=PathType(exists=True, path_type=Path),
        help="A file for a reader, with black and white pixels, or a data set for a layout; repeat"
        " for several.",
    ),
    example="mura-run check-plugin mura-their-net",
)
def check_plugin(name: str, examples: tuple[Path, ...]) -> None:
    """Check that a plugin keeps its contract.

    NAME is a distribution, such as mura-their-net, or the name of one architecture, explainer,
    reader or layout. Networks are trained on a few random images. The exit status is 1 if
    something is broken.
    """
    from mura_core.imaging import SUFFIXES
    from mura_core.inference import start_tensorflow
    from mura_plugins import LayoutOptions
    from mura_plugins.check_plugin import check_plugin
    from mura_plugins.manager import load_plugins

    plugins = load_plugins(try_again=True)
    start_tensorflow(0)
    suffixes = {*SUFFIXES, *(one for offer in plugins.readers for one in offer.record.suffixes)}
    options = LayoutOptions(suffixes=frozenset(suffixes))
    broken = 0
    for found in check_plugin(plugins, name, examples, options):
        broken += found.status == "broken"
        reason = f": {printable(found.reason)}" if found.reason else ""
        click.echo(f"{found.status:<9} {found.kind} {found.name}{reason}")
    if broken:
        raise DataError(f"{name} breaks {broken} of its promises; docs/plugins.md explains them")


@command(
    click.argument("data", metavar="DATA", type=PathType(exists=True, path_type=Path)),
    setting_options("columns", "positive", "allow_outside"),
    click.option(
        "--out",
        type=PathType(dir_okay=False, path_type=Path),
        help="New CSV file to write, with a boxes.csv next to it if the data has boxes.",
    ),
    click.option(
        "--check", is_flag=True, help="Only print what was understood. The default without --out."
    ),
    click.option(
        "--coco",
        type=PathType(exists=True, dir_okay=False, path_type=Path),
        help="JSON file in COCO's format with the boxes of findings.",
    ),
    example="mura-run manifest radiographs --positive fracture --out images.csv",
)
def manifest(data: Path, out: Path | None, check: bool, coco: Path | None, **reading: Any) -> None:
    """Show how a folder or CSV file is read: ten images and the counts.

    Writes what was understood to a CSV file, which can be edited and given to --data.
    """
    from mura_core.data import Reading
    from mura_core.pipeline import understand

    if check and out is not None:
        raise click.UsageError("--check only prints; leave it out to write --out")
    understand(data, Reading(**reading), out=out, coco=coco)


@command(
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
        show_default="64, or 224 with a GPU",
        help="Side of the square images, in pixels.",
    ),
    click.option(
        "--quick", is_flag=True, help="Run fewer checks: one minute on two cores instead of five."
    ),
    click.option(
        "--out",
        type=PathType(file_okay=False, path_type=Path),
        default=lambda: Path("device-check") / f"{datetime.now():%Y%m%d-%H%M%S}",
        show_default="device-check/<time>",
        help="Folder for the page of results.",
    ),
)
def check_device(networks: tuple[str, ...], size: int | None, quick: bool, out: Path) -> None:
    """Check that training and heatmaps work on this machine's CPU and GPUs.

    Trains small networks for a few steps on every device, compares the losses with those of the
    CPU, measures memory and speed, and writes a page of results. The exit status is 1 if a check
    fails.
    """
    from mura_core.pipeline import check_device, plan_for
    from mura_plugins.manager import load_plugins

    plugins = load_plugins()
    for name in networks:
        plugins.architecture(name)
    check_device(plan_for(networks, size, quick=quick), out)
