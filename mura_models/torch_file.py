"""Read tensors from a file written by PyTorch's `torch.save`, without PyTorch.

Both of its formats consist of a pickle and the tensors' storages as raw bytes: in a zip archive
since version 1.6, one after another before that (the "legacy" format). The pickle is read by an
unpickler that allows only a few names, so that a file can't run code.
"""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from mura_plugins import PluginError

# Storage classes, and the NumPy dtype of their items in the file's byte order.
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001


class _Storage(NamedTuple):
    """The memory of one or more tensors: `length` items."""

    key: str
    dtype: str
    length: int


class _Tensor(NamedTuple):
    """The arguments of torch's `_rebuild_tensor_v2`; offset, size and stride count items.

    The values come from the file and aren't validated here.
    """

    storage: Any
    offset: Any
    size: Any
    stride: Any
    requires_grad: Any = False
    backward_hooks: Any = None
    metadata: Any = None

    def __setstate__(self, state: object) -> None:
        """Refuse changes, so that a pickle can't modify the class."""
        _refuse("it changes a tensor")


class _Table(dict[Any, Any]):
    """Replacement for OrderedDict."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignore the attributes, in which torch stores the versions of a network's modules."""


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Table,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    # Storage classes are only named. A string can't be called.
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            _refuse(f"it names {module}.{name}, which isn't allowed in a file of tensors")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        # ("storage", class, key, device, length); the legacy format adds None or a view.
        match pid:
            case ("storage", str(dtype), str(key), _, int(length), *view) if (
                dtype in _STORAGES.values() and length >= 0 and view in ([], [None])
            ):
                return _Storage(key, dtype, length)
        raise pickle.UnpicklingError("it refers to something that isn't a storage of numbers")


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors saved by `torch.save(network.state_dict(), path)`, by name.

    Parameters
    ----------
    path : Path
        A file in either of torch's formats. It must contain a dictionary of tensors with dtype
        float64, float32, float16, int64 or int32.

    Returns
    -------
    dict of str to ndarray
        Read-only arrays with the shapes and strides of the tensors.

    Raises
    ------
    PluginError
        The file can't be read, is truncated, or contains anything but a dictionary of tensors.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\3\4"
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file)
    # A truncated or malicious pickle can raise almost any exception.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PluginError(f"{path} can't be read as a file of PyTorch tensors: {reason}") from None


def _read_zip(file: BinaryIO) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name.endswith("/data.pkl")), None)
        if pickled is None:
            _refuse("the archive has no data.pkl")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            _refuse("its numbers are big-endian")
        with archive.open(pickled) as stream:
            tensors = _tensors(_Unpickler(stream).load())
        arrays = {}
        for storage in _storages(tensors).values():
            entry = archive.getinfo(f"{folder}data/{storage.key}")
            if entry.compress_type != zipfile.ZIP_STORED:
                _refuse(f"storage {storage.key} is compressed")
            arrays[storage.key] = _as_array(storage, archive.read(entry))
    return _rebuilt(tensors, arrays)


def _read_legacy(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if _Unpickler(file).load() != _LEGACY_MAGIC or _Unpickler(file).load() != _LEGACY_VERSION:
        _refuse("its header isn't that of a torch file")
    if not _Unpickler(file).load()["little_endian"]:
        _refuse("its numbers are big-endian")
    tensors = _tensors(_Unpickler(file).load())
    storages = _storages(tensors)
    arrays = {}
    for key in _Unpickler(file).load():
        storage = storages[key]
        header = file.read(8)
        if header != struct.pack("<q", storage.length):
            _refuse(f"storage {key} is missing or has a different length")
        # Limited by the file's size: `read` would allocate any length that the file claims.
        count = storage.length * np.dtype(storage.dtype).itemsize
        left = os.fstat(file.fileno()).st_size - file.tell()
        arrays[key] = _as_array(storage, file.read(min(count, left)))
    return _rebuilt(tensors, arrays)


def _tensors(table: Any) -> dict[str, _Tensor]:
    if not isinstance(table, dict) or not all(
        isinstance(name, str)
        and isinstance(tensor, _Tensor)
        and isinstance(tensor.storage, _Storage)
        for name, tensor in table.items()
    ):
        _refuse("it isn't a dictionary of tensors")
    return table


def _storages(tensors: dict[str, _Tensor]) -> dict[str, _Storage]:
    """Return the storages by key; several tensors can share one."""
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    for name, tensor in tensors.items():
        if tensor.storage != storages[tensor.storage.key]:
            _refuse(f"the storage of {name} has two types or lengths")
    return storages


def _as_array(storage: _Storage, content: bytes) -> NDArray[Any]:
    if len(content) != storage.length * np.dtype(storage.dtype).itemsize:
        _refuse(f"storage {storage.key} is cut short")
    return np.frombuffer(content, storage.dtype)


def _rebuilt(
    tensors: dict[str, _Tensor], arrays: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    return {
        name: _view(name, tensor, arrays[tensor.storage.key]) for name, tensor in tensors.items()
    }


def _view(name: str, tensor: _Tensor, items: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor as a bounds-checked view of its storage."""
    offset, size, stride = tensor.offset, tensor.size, tensor.stride
    if (
        not isinstance(size, tuple)
        or not isinstance(stride, tuple)
        or len(size) != len(stride)
        or not all(isinstance(number, int) and number >= 0 for number in (offset, *size, *stride))
    ):
        _refuse(f"the tensor {name} has no valid shape and strides")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if 0 not in size and last >= len(items):
        _refuse(f"the tensor {name} reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(
        items[offset:], size, tuple(step * items.itemsize for step in stride), writeable=False
    )


def _refuse(reason: str) -> NoReturn:
    raise pickle.UnpicklingError(reason)
