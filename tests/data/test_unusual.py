"""Images that are unlike the training images are named, few others are, and nothing is changed."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import mura_run
from data_sets import write_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mura_core import Square, prepare, read_manifest
from mura_core.data.unusual import read_usual, unusual_images, usual_traits, write_usual
from mura_core.errors import DataError, RadiographError
from mura_core.imaging import ImageTraits, read_radiograph, stream_images
from mura_core.phantoms import write_phantoms


def table(traits: list[ImageTraits]) -> pd.DataFrame:
    return pd.DataFrame([dataclasses.asdict(one) for one in traits])


def traits_of(sources: list) -> pd.DataFrame:
    """Return the traits of images, as the pass measures them."""
    traits: list = []
    for image in stream_images(sources, Square(8), on_traits=traits.append):
        assert not isinstance(image, RadiographError), image
    return table(traits)


def named(traits: pd.DataFrame, usual) -> dict[str, list[str]]:
    """Return the numbers of the images that are named, by kind."""
    found = unusual_images([str(number) for number in range(len(traits))], traits, usual)
    kinds = found["reason"].str.split(" \\(").str[0]
    return {kind: same["path"].tolist() for kind, same in found.groupby(kinds)}


def radiograph(random: np.random.Generator, height: int = 90, width: int = 70) -> np.ndarray:
    """Return a dark image with a bright limb."""
    pixels = random.normal(25, 8, (height, width))
    left = random.integers(10, 25)
    pixels[:, left : left + 25] += random.normal(110, 20)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def good() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [radiograph(random) for _ in range(60)]


@pytest.fixture(scope="module")
def usual(good):
    return usual_traits(traits_of(good))


# What is measured -------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 200), width=st.integers(1, 200), bits=st.sampled_from([8, 16]),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_traits_are_of_the_image_as_it_was_read(height, width, bits, seed):
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = np.random.default_rng(seed).integers(0, 2**bits, (height, width), dtype)
    (traits,) = traits_of([pixels]).to_dict("records")
    assert (traits["height"], traits["width"], traits["bits"]) == (height, width, bits)
    assert (traits["darkest"], traits["brightest"]) == (pixels.min(), pixels.max())
    assert traits["chroma"] == 0
    if height < 128 and width < 128:
        assert traits["mean"] == pytest.approx(pixels.mean() * 255 / (2**bits - 1), abs=1e-3)


@pytest.mark.parametrize("name", ["a.png", "a16.png", "a.jpg", "a.bmp", "a.webp", "a.tif"])
def test_colours_are_measured_in_every_format(tmp_path: Path, name: str):
    y, x = np.mgrid[:40, :48].astype(np.uint8)
    colours = np.dstack([4 * x, 255 - 4 * x, 4 * y])
    grey = np.dstack([x, x, x])
    for folder, pixels in (("colour", colours), ("grey", grey)):
        (tmp_path / folder).mkdir()
        if name == "a16.png":
            import imagecodecs

            (tmp_path / folder / name).write_bytes(imagecodecs.png_encode(pixels * np.uint16(257)))
        else:
            Image.fromarray(pixels).save(tmp_path / folder / name)
    some = colours[::8, ::8].astype(float)
    expected = (some.max(axis=2) - some.min(axis=2)).mean()
    measured = traits_of([tmp_path / "colour" / name, tmp_path / "grey" / name])["chroma"]
    assert measured[0] == pytest.approx(expected, rel=0.15 if name in ("a.jpg", "a.webp") else 1e-3)
    assert measured[1] < 2


def test_images_without_traits_keep_their_place(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    for threads in (1, 3):
        traits: list = []
        sources = [np.full((4, n + 1), n, np.uint8) for n in range(30)]
        mixed = [tmp_path / "a.png" if n % 4 == 1 else one for n, one in enumerate(sources)]
        results = list(stream_images(mixed, Square(2), threads=threads, on_traits=traits.append))
        assert [one is None for one in traits] == [n % 4 == 1 for n in range(30)]
        assert [isinstance(one, RadiographError) for one in results] == [
            one is None for one in traits
        ]
        assert all(one is None or one.brightest == n for n, one in enumerate(traits))


# What is named ----------------------------------------------------------------------------------


def test_good_images_are_not_named(good, usual):
    assert named(traits_of(good), usual) == {}
    assert named(traits_of([image.astype(np.uint16) * 257 for image in good]), usual) == {}


def test_each_kind_is_named(good, usual):
    image = good[0].astype(np.uint16)
    odd = [
        255 - good[1],
        image * 16,  # 12 bits
        np.full((90, 70), 99, np.uint8),
        (100 + good[0] // 16),
        good[0][::6, ::6],
        np.kron(good[0], np.ones((6, 6), np.uint8)),
        np.ascontiguousarray(good[0][:, ::5]),
        (60000 + image).astype(np.uint16),
    ]
    assert named(traits_of(odd), usual) == {
        "looks inverted": ["0", "7"],
        "looks nearly black": ["1"],
        "has a single grey level": ["2"],
        "has hardly any contrast": ["3", "7"],
        "is much smaller than usual": ["4"],
        "is much larger than usual": ["5"],
        "has unusual proportions": ["6"],
    }


def test_levels_of_12_bits_are_named_unless_most_images_have_them(good):
    twelve = [image.astype(np.uint16) * 16 for image in good]
    sixteen = [image.astype(np.uint16) * 257 for image in good]
    few = traits_of([*twelve[:10], *sixteen[10:]])
    assert named(few, usual_traits(few)) == {"looks nearly black": [str(n) for n in range(10)]}
    assert named(traits_of(twelve), usual_traits(traits_of(twelve))) == {}
    found = unusual_images(["a"], traits_of(twelve[:1]), None)["reason"].tolist()
    highest = twelve[0].max()
    (reason,) = found
    assert reason.startswith("looks nearly black (levels 0 to")
    assert reason.endswith(f"{highest} of 65535: 12-bit levels in 16 bits?)")


def test_a_colour_photograph_is_named(good, usual, tmp_path: Path):
    random = np.random.default_rng(1)
    photograph = np.dstack([random.integers(60, 200, (90, 70)), *([np.full((90, 70), 60)] * 2)])
    Image.fromarray(photograph.astype(np.uint8)).save(tmp_path / "photo.jpg", quality=95)
    Image.fromarray(np.dstack([good[0]] * 3)).save(tmp_path / "grey.jpg")
    sources = [tmp_path / "photo.jpg", tmp_path / "grey.jpg"]
    assert named(traits_of(sources), usual)["looks like a colour photograph"] == ["0"]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_inverted_training_images_are_found_among_the_others(good, share):
    every = round(1 / share)
    mixed = [255 - image if n % every == 0 else image for n, image in enumerate(good)]
    traits = traits_of(mixed)
    inverted = [str(number) for number in range(0, len(good), every)]
    assert named(traits, usual_traits(traits)) == {"looks inverted": inverted}


def test_few_training_images_tell_only_about_levels(good):
    assert usual_traits(traits_of(good[:19])) is None
    odd = traits_of([255 - good[0], np.zeros((3, 3), np.uint8)])
    assert named(odd, None) == {"has a single grey level": ["1"]}


def test_fences_are_those_of_a_hand_worked_example():
    # Mean levels 0, 1, ..., 100: quartiles 25 and 75, percentiles 1 and 99.
    base = ImageTraits(64, 64, 8, 0, 255, 0.0, 0.0)
    traits = table([dataclasses.replace(base, mean=float(level)) for level in range(101)])
    fences = usual_traits(traits).mean
    assert (fences.first, fences.last) == (1, 99)
    # 75 + 3 * 50 = 225 is far out, but 28 levels beyond the 99th percentile are less: 127. At least
    # 56 levels beyond the quartile: 131.
    assert (fences.low, fences.high) == (25 - 56, 131)
    wide = usual_traits(traits.assign(mean=traits["mean"] * 2)).mean
    assert wide.high == 198 + 28
    narrow = usual_traits(traits.assign(mean=traits["mean"] / 4 + 50)).mean
    assert narrow.high == 75 / 4 + 50 + 56
    # Few images in the tail move the percentile far, but not the quartiles: 60 to 80.
    tail = np.r_[np.linspace(50, 90, 95), np.full(6, 250)]
    tukey = usual_traits(traits.assign(mean=tail)).mean
    lower, upper = np.percentile(tail, [25, 75])
    assert tukey.high == pytest.approx(upper + 3 * (upper - lower))


def test_what_is_usual_is_kept_in_a_file(usual, tmp_path: Path):
    write_usual(tmp_path / "usual.json", usual)
    assert read_usual(tmp_path / "usual.json") == usual
    for content in ("", "[]", "{}", '{"images": 3}', "\x00", json.dumps({"mean": 1})):
        (tmp_path / "wrong.json").write_text(content)
        with pytest.raises(DataError, match="doesn't describe training images"):
            read_usual(tmp_path / "wrong.json")
    with pytest.raises(DataError, match="can't be read"):
        read_usual(tmp_path / "none.json")


# Shares on drawn and on real radiographs --------------------------------------------------------


def shares(train: list[Path], others: list[Path]) -> tuple[float, float]:
    """Return the shares of good images that are named, and of inverted ones that are found."""
    usual = usual_traits(traits_of(train))
    images = [read_radiograph(path) for path in others]
    good = named(traits_of(images), usual)
    inverted = named(traits_of([np.iinfo(one.dtype).max - one for one in images]), usual)
    false = len({path for paths in good.values() for path in paths})
    return false / len(images), len(inverted["looks inverted"]) / len(images)


def test_phantoms_are_not_named_and_inverted_ones_are(tmp_path: Path):
    root = write_phantoms(tmp_path, 40, valid=20)
    false, found = shares(sorted((root / "train").rglob("*.png")), sorted(root.rglob("*.png")))
    assert (false, found) == (0, 1)


def test_few_real_radiographs_are_named_and_inverted_ones_are(real_data: Path):
    root = real_data / "fracatlas" / "MURA-v1.1"
    train, valid = (sorted((root / split).rglob("*.png")) for split in ("train", "valid"))
    false, found = shares(train[::3], valid)
    assert false < 0.01
    assert found > 0.99


# In a run ---------------------------------------------------------------------------------------


def write_data(folder: Path, images: list[np.ndarray]) -> Path:
    for number, image in enumerate(images):
        label = "positive" if number % 2 else "negative"
        split = "valid" if number % 4 > 1 else "train"
        write_image(
            folder / split / "HAND" / f"{split}{number}" / f"s_{label}" / "image.png", image
        )
    return folder


def test_prepare_and_predict_name_them_and_change_nothing(good, tmp_path: Path):
    images = [255 - image if number in (4, 6, 7) else image for number, image in enumerate(good)]
    data = write_data(tmp_path / "data", images)
    run = tmp_path / "run"
    done = mura_run(
        "train", "--data", data, "--out", run, "--size", 32, "--epochs", 1, "--model", "conv2"
    )
    assert done.exit_code == 0, done.output
    (line,) = [line for line in done.stderr.splitlines() if "inverted" in line]
    assert line.startswith(
        "Unusual: 3 images: train/HAND/train4/s_negative/image.png looks inverted (mean level "
    )
    assert line.endswith("; valid/HAND/valid6/s_negative/image.png, "
                         "valid/HAND/valid7/s_positive/image.png")  # fmt: skip
    unusual = pd.read_csv(run / "unusual.csv")
    assert unusual["path"].str.extract(r"(\d)/s")[0].tolist() == ["4", "6", "7"]
    prepared = prepare(read_manifest(data), tmp_path / "cache", Square(90))
    row = prepared.table["path"].tolist().index(unusual["path"][0])
    square = next(stream_images([images[4]], Square(90)))
    np.testing.assert_array_equal(prepared.images[row], square)

    new = tmp_path / "new"
    for name, image in (("good.png", good[0]), ("odd.png", 255 - good[0])):
        write_image(new / name, image)
    result = mura_run("predict", run, new)
    assert result.exit_code == 0, result.output
    assert f"Unusual: 1 image: {new}/odd.png looks inverted (mean level" in result.stderr
    assert len(result.stdout.splitlines()) == 3  # the table alone
    (run / "usual.json").unlink()  # as of an older run
    assert "Unusual" not in mura_run("predict", run, new).output
