"""Settings, files and judged predictions of a run folder.

`settings` declares the settings of a run, and `config` reads and writes them. `folder` reads and
writes the files that steps exchange, which docs/run-folder.md describes. `judgement` applies the
calibration and the operating points of a run to its predictions.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
