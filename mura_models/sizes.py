"""Check the minimum image size of a network."""

from mura_plugins import PluginError


def refuse_smaller(input_shape: tuple[int, int, int], side: int, name: str) -> None:
    """Raise a one-line error if images are too small for a network's downsampling.

    Parameters
    ----------
    input_shape : tuple
        (H, W, channels).
    side : int
        Minimum height and width in pixels.
    name : str
        Name of the network, for the message.

    Raises
    ------
    PluginError
        The height or the width is less than `side`.
    """
    height, width, _ = input_shape
    if min(height, width) < side:
        raise PluginError(
            f"{name} takes images of at least {side} x {side} pixels, not {height} x {width}"
        )
