"""Settings are declared once: options, checks and documentation follow."""

from dataclasses import dataclass

import click
import pytest
from pydantic import TypeAdapter, ValidationError

from mura_core.cli.options import _option_of
from mura_core.runs import RunConfig
from mura_core.settings import Group, declared_by, setting


@dataclass(frozen=True)
class Wider(RunConfig):
    """The settings of a run, and two more."""

    mixup: float = setting(0.0, Group.TRAINING, "Strength of mixup.", ge=0, lt=1)
    orders: tuple[str, ...] = setting((), Group.DATA, "Order of images.", metavar="ORDER")


def test_a_further_setting_is_an_option():
    declared = declared_by(Wider)

    @_option_of(declared["orders"], {})
    @_option_of(declared["mixup"], {})
    def command(mixup: float, orders: tuple[str, ...]) -> None:
        pass

    options = click.Command("some", params=command.__click_params__[::-1])
    given = options.make_context("some", ["--mixup", "0.2", "--orders", "a", "--orders", "b"])
    assert given.params == {"mixup": 0.2, "orders": ("a", "b")}
    for wrong in ("1", "-0.1", "nan", "x"):
        with pytest.raises(click.BadParameter):
            options.make_context("some", ["--mixup", wrong])


def test_a_further_setting_is_checked_in_config_yaml():
    assert declared_by(Wider)["mixup"].allowed == "a number of at least 0 and below 1"
    checker = TypeAdapter(Wider)
    assert checker.validate_python({"mixup": 0.5, "orders": ["a"]}) == Wider(
        mixup=0.5, orders=("a",)
    )
    for wrong in ({"mixup": 1}, {"mixup": True}, {"mixup": float("nan")}, {"orders": [1]}):
        with pytest.raises(ValidationError):
            checker.validate_python(wrong)
