"""The command `mura-run`.

`commands` holds one function for each command, `options` what can be set. Commands import what they
need when they run, so that `mura-run --help` answers at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
