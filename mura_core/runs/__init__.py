"""The run folder: its settings, its files, and its predictions as they are judged.

`settings` declares every setting of a run, and `config` reads and writes the file of them; `folder`
reads and writes the files that steps exchange, which docs/run-folder.md describes; `judgement`
applies a run's calibration and operating point.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
