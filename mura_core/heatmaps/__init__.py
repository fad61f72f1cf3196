"""Compute, draw and score heatmaps.

Explainers are plugins that return raw maps. `maps` runs an explainer on any number of images;
`drawing` and `files` draw and write the maps. `bench` scores them with the measures in `measures`
and compares the scores with the image-independent maps in `baselines`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
