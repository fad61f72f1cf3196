"""`pytest --benchmark` runs the benchmarks, which plain `pytest` never does."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--benchmark", action="store_true", help="run the benchmarks instead")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--benchmark") and config.args_source != config.ArgsSource.ARGS:
        config.args[:] = [str(config.rootpath / "benchmarks")]
