"""`config.yaml`: what it may hold, and what is said of everything else."""

import re
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from command_line import refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_core.errors import DataError
from mura_core.runs import PHANTOMS, RunConfig, config_of, read_config, write_config

# As a run of the first version wrote it.
FIRST_VERSION = """\
epochs: 2
batch_size: 8
learning_rate: 0.003
accumulate: 1
schedule: cosine
warm_up: 1.0
weight_decay: 0.0
label_smoothing: 0.0
gradient_centralisation: true
zero_logit: true
head_rate: 1.0
cell_loss: 20.0
average_flips: false
augment:
- flip
- rotate=15
keep: last
early_stopping: 0
watch: loss
mixed_precision: false
rematerialise: false
jit: 'off'
data: phantoms
body_part: []
size: 32
resize: area
fit: stretch
standardise: true
strict: false
model: conv4
model_option: []
weights: none
class_weights: report
false_positive_bias: 0.0
seed: 5
seeds: '1'
deterministic: false
restart: true
shuffled_labels: false
devices: all
validate: split
proportion: 0.8
folds: 5
operating_point: '0.5'
calibrate: none
study_score: mean
explain:
- gradcam
explain_images: '24'
layer: ''
style: inferno
"""


def read(folder: Path, text: str) -> dict:
    (folder / "config.yaml").write_text(text)
    return read_config(folder / "config.yaml")


def test_what_is_written_is_read(tmp_path: Path):
    config = replace(RunConfig(), epochs=3, augment=("flip",), seeds="2019,7", strict=True)
    write_config(tmp_path / "config.yaml", config)
    assert config_of(tmp_path) == config


def test_a_config_of_the_first_version_is_read(tmp_path: Path):
    changed = {"epochs": 2, "augment": ("flip", "rotate=15"), "jit": "off", "size": 32, "seed": 5}
    # Settings that came later have their defaults.
    expected = replace(RunConfig(), **changed, explain=("gradcam",))
    assert RunConfig(**read(tmp_path, FIRST_VERSION)) == expected


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("warm_up: 1", "warm_up", 1.0),
        ("learning_rate: 1e-3", "learning_rate", 0.001),  # text to PyYAML
        ("learning_rate: '0.01'", "learning_rate", 0.01),
        ("explain_images: 24", "explain_images", "24"),
        ("operating_point: 0.3", "operating_point", "0.3"),
        ("operating_point: 0.3,0.7", "operating_point", "0.3,0.7"),
        ("seeds: 2019,7,11", "seeds", "2019,7,11"),
        ("jit: on", "jit", "on"),  # true to PyYAML
        ("jit: off", "jit", "off"),
        ("strict: yes", "strict", True),
        ("body_part: [elbow, wrist]", "body_part", ("elbow", "wrist")),
    ],
)
def test_values_are_read_as_people_mean_them(text: str, name: str, value, tmp_path: Path):
    found = read(tmp_path, text)
    assert found == {name: value}
    assert type(found[name]) is type(value)


WRONG = {
    "epochs: true": "epochs: True is not an integer of at least 1",
    "epochs: ten": "epochs: 'ten' is not an integer of at least 1",
    "epochs: '10'": "epochs: '10' is not an integer of at least 1",
    "epochs: 1.5": "epochs: 1.5 is not an integer of at least 1",
    "epochs: 0": "epochs: 0 is not an integer of at least 1",
    "epochs:": "epochs: None is not an integer of at least 1",
    "size: -3": "size: -3 is not an integer of at least 1",
    "seed: 4294967296": "seed: 4294967296 is not an integer of at least 0 and at most 4000000000",
    "learning_rate: fast": "learning_rate: 'fast' is not a number above 0",
    "learning_rate: 0": "learning_rate: 0 is not a number above 0",
    "learning_rate: true": "learning_rate: True is not a number above 0",
    "learning_rate: .nan": "learning_rate: nan is not a number above 0",
    "learning_rate: .inf": "learning_rate: inf is not a number above 0",
    "label_smoothing: 1": "label_smoothing: 1 is not a number of at least 0 and below 1",
    "proportion: 0.96": "proportion: 0.96 is not a number of at least 0.05 and at most 0.95",
    "strict: 1": "strict: 1 is not true or false",
    "validate: nonsense": "validate: 'nonsense' is not one of split, holdout, kfold",
    "validate: [split]": "validate: ['split'] is not one of split, holdout, kfold",
    "fit: foo": "fit: 'foo' is not one of stretch, pad, crop",
    "calibrate: no": "calibrate: False is not one of none, temperature, isotonic",
    "style: 2019": "style: 2019 is not one of inferno, report2019",
    "model: true": "model: True is not a string",
    "model: [conv4]": "model: ['conv4'] is not a string",
    "model: 2026-11-25": "model: datetime.date(2026, 11, 25) is not a string",
    "augment: flip": "augment: 'flip' is not a list of strings",
    "augment: {rotate: 15}": "augment: {'rotate': 15} is not a list of strings",
    "explain: [gradcam, 3]": "explain: ['gradcam', 3] is not a list of strings",
    "learning: 1": "'learning' is not one of epochs, batch_size, learning_rate",
    "1: 2": "1 is not one of epochs",
    "data: 2026-13-45": "is not YAML (month must be in 1..12",
    "epochs: [1": "is not YAML (",
    "&a [*a]": "is not YAML (aliases, such as *name, are not allowed)",
    "": "must contain lines like 'epochs: 10'",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings_are_one_line(text: str, tmp_path: Path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'config.yaml'}: {WRONG[text]}")
    assert message.count("\n") == 0


@pytest.mark.parametrize("text", ["epochs: true", "validate: nonsense", "fit: foo"])
def test_commands_refuse_wrong_settings_in_one_line(text: str, tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    message = f"{path}: {WRONG[text]}"
    refused(2, message, "--config", path, "--out", tmp_path / "run")
    refused(2, message, "--resume", tmp_path)
    for command in ("evaluate", "explain"):
        refused(1, message, command, tmp_path)


def test_a_missing_config_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="no such run folder"):
        config_of(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"config\.yaml: can't be read \(No such file"):
        config_of(tmp_path)


@pytest.mark.parametrize(("first", "epochs"), [("--recipe", 3), ("--config", 18)])
def test_of_a_recipe_and_a_config_the_last_one_goes(first: str, epochs: int, tmp_path: Path):
    from mura_core.cli import main

    (tmp_path / "config.yaml").write_text("epochs: 3\nweight_decay: 0.5")
    pairs = {"--recipe": "half-hour", "--config": str(tmp_path / "config.yaml")}
    order = sorted(pairs, key=lambda option: option != first)
    arguments = [word for option in order for word in (option, pairs[option])]
    given = main.commands["run"].make_context("run", [*arguments, "--weight-decay", "0.1"]).params
    assert given["epochs"] == epochs
    assert given["batch_size"] == 16
    assert given["weight_decay"] == 0.1


text = st.text("aZ0-:#'\"[{\n\t\x85\u2028é", max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats()
    | text
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(["on", "kfold", "pad", "1e-3", "youden", "nan", "auto"])
)
values = st.recursive(
    scalars, lambda some: st.lists(some) | st.dictionaries(text, some), max_leaves=5
)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(written=st.dictionaries(st.sampled_from(sorted(asdict(RunConfig()))), values, max_size=3))
def test_any_yaml_is_a_config_or_one_line(written: dict, tmp_path: Path):
    message = ""
    try:
        config = RunConfig(**read(tmp_path, yaml.safe_dump(written)))
    except DataError as error:
        message = str(error)
    if message:
        assert message.startswith(f"{tmp_path / 'config.yaml'}: ")
        assert len(message.splitlines()) == 1
        return
    config.square  # noqa: B018 - raises if its settings are wrong
    write_config(tmp_path / "config.yaml", config)
    if config.data != PHANTOMS:
        config = replace(config, data=str(Path(config.data).resolve()))
    assert config_of(tmp_path) == config
    for name, default in asdict(RunConfig()).items():
        value = getattr(config, name)
        assert type(value) is type(default), name
        assert not isinstance(value, tuple) or all(type(one) is str for one in value), name


BILLION = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghij")]
)
MERGED = "\n".join(
    ["a: &a {x: 1}"]
    + [f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}" for a, b in pairwise("abcdefghij")]
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BILLION, "aliases, such as *name, are not allowed"),
        (MERGED, "aliases, such as *name, are not allowed"),
        ("epochs: " + "[" * 100_000, "is not YAML"),
        ("epochs: " + "{a: " * 100_000, "is not YAML"),
        ("epochs: " + "9" * 10_000_000, "has more than 1,000,000 bytes"),
        ("epochs: " + "x" * 900_000, "is not an integer of at least 1"),
        ("epochs: [" + "x, " * 300_000 + "x]", "is not an integer of at least 1"),
        ("x" * 900 + ": 1", "is not one of epochs"),
        ("data: !!python/object/apply:os.system ['false']", "is not YAML"),
    ],
    ids=["aliases", "merges", "lists", "mappings", "large", "long", "many", "name", "object"],
)
def test_yaml_that_explodes_is_one_short_line(text: str, reason: str, tmp_path: Path):
    with pytest.raises(DataError, match=re.escape(reason)) as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < 2000
    assert len(str(caught.value).splitlines()) == 1
