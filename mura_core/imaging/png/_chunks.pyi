from mura_core.imaging.png.inflate import Buffer

SIGNATURE: bytes

def parse(content: bytes) -> tuple[tuple[int, int, int, int, int], Buffer, int, bool]: ...
