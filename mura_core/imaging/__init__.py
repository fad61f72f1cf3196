"""Single images: decoded exactly, resized, and summed up to mean and deviation images.

The Cython extensions give the same bits on every processor, with and without vector instructions.
Statistics are exact: images are streamed from disk in constant memory, in any order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
