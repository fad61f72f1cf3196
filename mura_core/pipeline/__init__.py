"""The steps of a run (train, evaluate, explain, report), and the use of finished runs.

Each step reads the files that earlier steps wrote to the run folder, so that it can be repeated
separately. The steps find their inputs, call the other packages to compute, write the results and
log what the user should know.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
