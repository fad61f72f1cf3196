"""Figures from a table of predictions, with their intervals and what they are worth.

Everything is computed from plain tables of labels and logits: figures by level and body part,
bootstrap intervals over patients, calibration, operating points, and comparisons of two networks.
Nothing here knows of networks, images or run folders.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
