"""The built-in architectures: one family a file."""

from mura_plugins import Architecture, hookimpl

_REPORT = "2019 student report on MURA"


@hookimpl
def mura_architectures() -> list[Architecture]:
    """Return the built-in architectures."""
    return [
        Architecture(
            name="conv4",
            build="mura_models.conv:conv4",
            summary="Five small convolution blocks with batch normalisation; trains on a CPU.",
            reference=f"{_REPORT}, section 5.2.3",
        ),
    ]
