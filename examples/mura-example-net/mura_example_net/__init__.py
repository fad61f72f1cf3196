"""The plugin. It imports no Keras: the builder is named, and imported when it is used."""

from mura_plugins import Architecture, hookimpl


@hookimpl
def mura_architectures() -> list[Architecture]:
    """Return this package's architecture."""
    return [
        Architecture(
            name="example-net",
            build="mura_example_net.network:build",
            summary="Three strided convolutions and global average pooling.",
            reference="None: an example",
        )
    ]
