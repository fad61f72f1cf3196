"""The command `mura-run`.

`commands` and `inspection` have one function per command, and `options` the shared options.
Commands import what they need when they run, so that `mura-run --help` is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
