"""Heatmaps: computed, drawn, and measured before anyone trusts them.

An explainer, a plugin, returns raw maps; `maps` calls it on any number of images, `files` and
`drawing` write what people look at. `bench` measures the maps by what is in `measures` against
`baselines`, which don't look at the image.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
