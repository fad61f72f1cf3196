"""Inflating and checksums: by libdeflate where it is installed, else by the standard library.

libdeflate inflates about twice as fast as zlib, and its checksums are ten times as fast.
"""

from __future__ import annotations

import zlib

try:
    import deflate
except ImportError:
    deflate = None

Buffer = bytes | bytearray | memoryview


class InflateError(ValueError):
    """A stream is damaged, or holds more than it should."""


def inflate(data: Buffer, size: int) -> Buffer:
    """Return what a zlib stream holds.

    Parameters
    ----------
    data : bytes-like
    size : int
        How many bytes it should hold; fewer are returned where it ends earlier.

    Raises
    ------
    InflateError
        It is damaged or holds more.
    """
    if deflate is None:
        return _inflate_by_zlib(data, size)
    try:
        return deflate.zlib_decompress(data, size)
    except deflate.DeflateError as error:
        raise InflateError(str(error)) from None


def _inflate_by_zlib(data: Buffer, size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, size)
        # Not a byte more must come, and the checksum must.
        more = inflater.decompress(inflater.unconsumed_tail, 1)
    except zlib.error as error:
        raise InflateError(str(error)) from None
    if more or not inflater.eof:
        raise InflateError("the stream doesn't end where it should")
    return inflated


crc32 = zlib.crc32 if deflate is None else deflate.crc32
adler32 = zlib.adler32 if deflate is None else deflate.adler32
