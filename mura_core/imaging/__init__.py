"""Decode and resize images, and compute mean and deviation images.

The Cython extensions give bit-identical results on all processors, with and without vector
instructions. Statistics are exact, independent of the order of the images, and computed in constant
memory.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
