"""Compute figures with intervals from a table of predictions.

All functions take plain tables of labels and logits. They compute figures by level and body part,
bootstrap intervals over patients, calibration, operating points, and comparisons of two networks.
Nothing here depends on networks, images or run folders.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
