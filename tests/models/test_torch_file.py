"""Files of PyTorch tensors: rebuilt as PyTorch has them, and nothing else is unpickled."""

import io
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mura_models.torch_file import read_tensors
from mura_plugins import PluginError

PEERS = Path(__file__).parents[1] / "peers"  # written by PyTorch: peers/torch_files.py
FORMATS = ("zip", "legacy")
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001


@pytest.mark.parametrize("form", FORMATS)
def test_tensors_are_those_that_pytorch_saved(form):
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    expected = {
        "whole": base,
        "permuted": base.transpose(2, 0, 1),
        "sliced": base[1, 1:, ::2],
        "column": base[:, 0, 3],
        "expanded": np.full(5, 1, np.float32),
        "scalar": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "half": np.array([0.5, -2], np.float16),
        "double": np.array([[0.1, 0.2]]),
        "int32": np.array([-1, 2], np.int32),
    }
    tensors = read_tensors(PEERS / f"torch_{form}.pth")
    assert list(tensors) == list(expected)
    for name, array in expected.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array, strict=True)
        assert not tensors[name].flags.writeable


# Files made by hand ------------------------------------------------------------------------------


class Named:
    """Pickled as a name of a module, called where `arguments` are given."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    def __init__(self, function: Named, *arguments: object) -> None:
        self.function, self.arguments = function, arguments


class Stored:
    def __init__(self, *pid: object) -> None:
        self.pid = pid


class Changed:
    """An object, and a state that is set on it (the opcode BUILD)."""

    def __init__(self, thing: object, state: object) -> None:
        self.thing, self.state = thing, state


class HandWriter(pickle._Pickler):
    """Writes opcodes for things that needn't exist."""

    def save(self, thing, *rest, **options):
        if isinstance(thing, Named):
            self.write(b"c" + f"{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Call):
            self.save(thing.function)
            self.save(thing.arguments)
            self.write(pickle.REDUCE)
        elif isinstance(thing, Stored):
            self.save(thing.pid)
            self.write(pickle.BINPERSID)
        elif isinstance(thing, Changed):
            self.save(thing.thing)
            self.save(thing.state)
            self.write(pickle.BUILD)
        else:
            super().save(thing, *rest, **options)

    def memoize(self, thing):
        """Repeat what occurs twice."""


def pickled(thing: object) -> bytes:
    stream = io.BytesIO()
    HandWriter(stream, protocol=2).dump(thing)
    return stream.getvalue()


def save(path: Path, form: str, table: object, content: bytes = bytes(16)) -> Path:
    """Write a file whose one storage, "0", holds `content`."""
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", pickled(table))
            archive.writestr("net/data/0", content)
    else:
        parts = [MAGIC, VERSION, {"little_endian": True}, table, ["0"]]
        path.write_bytes(b"".join(map(pickled, parts)) + struct.pack("<q", 4) + content)
    return path


REBUILD = Named("torch._utils", "_rebuild_tensor_v2")
FLOATS = Named("torch", "FloatStorage")
STORAGE = Stored("storage", FLOATS, "0", "cpu", 4)


def tensor(offset=0, size=(4,), stride=(1,), storage=STORAGE) -> Call:
    return Call(REBUILD, storage, offset, size, stride, False, {})


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_made_by_hand_is_read(form, tmp_path):
    # Or the refusals below would prove nothing.
    content = np.array([1, 2, 3, 4], np.float32)
    path = save(tmp_path / "net.pth", form, {"w": tensor(1, (2,), (2,))}, content.tobytes())
    np.testing.assert_array_equal(read_tensors(path)["w"], [2, 4])


ATTACKS = {
    "os.system": lambda mark: Call(Named("os", "system"), f"touch {mark}"),
    "posix.system": lambda mark: Call(Named("posix", "system"), f"touch {mark}"),
    "builtins.eval": lambda mark: Call(Named("builtins", "eval"), f"open({mark!r}, 'w')"),
    "__builtin__.eval": lambda mark: Call(Named("__builtin__", "eval"), f"open({mark!r}, 'w')"),
    "builtins.open": lambda mark: Call(Named("builtins", "open"), mark, "w"),
    "builtins.getattr": lambda mark: Call(
        Call(Named("builtins", "getattr"), Named("os", "path"), "os"), "system", mark
    ),
    "subprocess.Popen": lambda mark: Call(Named("subprocess", "Popen"), ["touch", mark]),
    # Dots in a name, and what an allowed module has besides.
    "collections.OrderedDict.__class__": lambda mark: Named("collections", "OrderedDict.__class__"),
    "torch._utils._rebuild_tensor_v2.__globals__": lambda mark: Named(
        "torch._utils", "_rebuild_tensor_v2.__globals__"
    ),
    "torch.load": lambda mark: Call(Named("torch", "load"), mark),
    "numpy._core.multiarray._reconstruct": lambda mark: Named(
        "numpy._core.multiarray", "_reconstruct"
    ),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_name_that_is_not_allowed_is_refused_and_not_called(name, form, tmp_path):
    mark = tmp_path / "mark"
    path = save(tmp_path / "net.pth", form, {"w": ATTACKS[name](str(mark)), "v": tensor()})
    with pytest.raises(PluginError) as caught:
        read_tensors(path)
    assert str(caught.value) == (
        f"{path} can't be read as a file of PyTorch tensors: it names {name}, which isn't allowed"
        " in a file of tensors"
    )
    assert not mark.exists()


def test_an_object_of_python_that_calls_when_it_is_unpickled_is_refused(tmp_path):
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(PluginError, match=r"it names (posix|nt)\.system"):
        read_tensors(path)
    assert not mark.exists()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "thing",
    [
        Changed(REBUILD, (None, {"storage": 1})),
        Changed(Named("collections", "OrderedDict"), (None, {"items": 1})),
        Changed(FLOATS, {"dtype": 1}),
        Changed(tensor(), {"size": (2,)}),
        Call(FLOATS, 4),
    ],
)
def test_nothing_allowed_can_be_changed_or_misused(thing, form, tmp_path):
    path = save(tmp_path / "net.pth", form, {"w": thing})
    with pytest.raises(PluginError, match="can't be read as a file of PyTorch tensors"):
        read_tensors(path)
    # Others are read as before.
    assert read_tensors(PEERS / f"torch_{form}.pth")["whole"].shape == (2, 3, 4)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"w": tensor(1)}, "the tensor w reaches beyond its storage"),
        ({"w": tensor(0, (2, 2), (3, 1))}, "the tensor w reaches beyond its storage"),
        ({"w": tensor(0, (2**40,), (2**40,))}, "the tensor w reaches beyond its storage"),
        ({"w": tensor(-1)}, "the tensor w has no valid shape and strides"),
        ({"w": tensor(3, (4,), (-1,))}, "the tensor w has no valid shape and strides"),
        ({"w": tensor(0, (2, 2), (1,))}, "the tensor w has no valid shape and strides"),
        ({"w": tensor(0, "4", "1")}, "the tensor w has no valid shape and strides"),
        ({"w": tensor(storage=3)}, "it isn't a dictionary of tensors"),
        ({"w": 3}, "it isn't a dictionary of tensors"),
        ({3: tensor()}, "it isn't a dictionary of tensors"),
        ([tensor()], "it isn't a dictionary of tensors"),
        (
            {"w": tensor(storage=Stored("storage", "O", "0", "cpu", 4))},
            "it refers to something that isn't a storage of numbers",
        ),
        (
            {"w": tensor(storage=Stored("storage", FLOATS, "0", "cpu", -4))},
            "it refers to something that isn't a storage of numbers",
        ),
        (
            {"w": tensor(storage=Stored("module", "0"))},
            "it refers to something that isn't a storage of numbers",
        ),
        (
            {
                "w": tensor(),
                "v": tensor(storage=Stored("storage", Named("torch", "IntStorage"), "0", "cpu", 4)),
            },
            "the storage of w has two types or lengths",
        ),
        ({"w": tensor(storage=Stored("storage", Named("torch", "BFloat16Storage"), "0", "cpu", 4))},
         "it names torch.BFloat16Storage, which isn't allowed in a file of tensors"),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_refused(table, reason, form, tmp_path):
    path = save(tmp_path / "net.pth", form, table)
    with pytest.raises(PluginError) as caught:
        read_tensors(path)
    assert str(caught.value).endswith(f"tensors: {reason}")


@pytest.mark.parametrize("form", FORMATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_one_line(form, share, tmp_path):
    content = (PEERS / f"torch_{form}.pth").read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(PluginError) as caught:
        read_tensors(path)
    assert str(caught.value).startswith(f"{path} can't be read as a file of PyTorch tensors: ")
    assert "\n" not in str(caught.value)


def test_a_legacy_file_that_claims_a_huge_storage_is_refused_at_once(tmp_path):
    length = 2**45
    table = {"w": tensor(storage=Stored("storage", FLOATS, "0", "cpu", length))}
    parts = [MAGIC, VERSION, {"little_endian": True}, table, ["0"]]
    path = tmp_path / "net.pth"
    path.write_bytes(b"".join(map(pickled, parts)) + struct.pack("<q", length) + bytes(16))
    with pytest.raises(PluginError, match="storage 0 is cut short"):
        read_tensors(path)


def test_a_compressed_storage_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", pickled({"w": tensor()}))
        archive.writestr("net/data/0", bytes(16))
    with pytest.raises(PluginError, match="storage 0 is compressed"):
        read_tensors(path)


@pytest.mark.parametrize("form", FORMATS)
def test_big_endian_numbers_are_refused(form, tmp_path):
    path = tmp_path / "net.pth"
    if form == "legacy":
        path.write_bytes(b"".join(map(pickled, [MAGIC, VERSION, {"little_endian": False}])))
    else:
        shutil.copy(save(tmp_path / "one.pth", form, {"w": tensor()}), path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("net/byteorder", "big")
    with pytest.raises(PluginError, match="its numbers are big-endian"):
        read_tensors(path)


def test_a_file_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(PluginError, match=r"gone\.pth can't be read .* No such file"):
        read_tensors(tmp_path / "gone.pth")
