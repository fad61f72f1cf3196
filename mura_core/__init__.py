"""The engine: from a folder of radiographs to figures that can be checked.

The rooms below do the work, from `imaging` at the bottom to `cli` at the top. The names that
libraries and notebooks use are importable from here; each is imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
