"""The smallest images that a network takes."""

from mura_plugins import PluginError


def refuse_smaller(input_shape: tuple[int, int, int], side: int, name: str) -> None:
    """Refuse images that a network would halve away, in one line where Keras takes several.

    Raises
    ------
    PluginError
        A side is shorter than `side` pixels.
    """
    height, width, _ = input_shape
    if min(height, width) < side:
        raise PluginError(
            f"{name} takes images of at least {side} x {side} pixels, not {height} x {width}"
        )
