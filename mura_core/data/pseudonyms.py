"""Replace identifiers by keyed hashes, whose key, the salt, stays with the user."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

import platformdirs

from mura_core.errors import DataError

_FEWEST_CHARACTERS = 32
_CHARACTERS = 16  # of a pseudonym: 64 bits, so that among a million two are equal by 3e-8


def default_salt_file() -> Path:
    """Return the file of the user's own salt, in the configuration folder."""
    return platformdirs.user_config_path("mura-run") / "salt"


def read_salt(path: Path) -> bytes:
    """Return the salt in a file, which is created with a random one if it doesn't exist.

    Parameters
    ----------
    path : Path
        A file that only its owner can read.

    Raises
    ------
    DataError
        The file can't be read or written, or its salt is short.
    """
    try:
        if not path.exists():
            _write_salt(path)
        salt = path.read_bytes().strip()
    except OSError as error:
        raise DataError(f"{path}: can't be used as the salt ({error.strerror})") from None
    if len(salt) < _FEWEST_CHARACTERS:
        raise DataError(
            f"{path}: is no salt: it has {len(salt)} characters, not {_FEWEST_CHARACTERS} or more."
            " --salt names a file of random characters, or one that doesn't exist yet."
        )
    return salt


def pseudonym(salt: bytes, kind: str, identifier: str) -> str:
    """Return the HMAC-SHA256 of an identifier, as 16 hexadecimal digits.

    Parameters
    ----------
    salt : bytes
        The key. Without it, identifiers can't be found by hashing all that are possible.
    kind : str
        What is identified, such as "patient".
    identifier : str
    """
    message = f"{kind}\0{identifier}".encode(errors="surrogateescape")
    return hmac.new(salt, message, "sha256").hexdigest()[:_CHARACTERS]


def _write_salt(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never over another process's, and readable to nobody else, from the first moment.
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(file, "w", encoding="ascii") as text:
        text.write(secrets.token_hex(32) + "\n")
