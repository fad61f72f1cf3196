"""The steps of a run: train, evaluate, explain, report; and what uses a finished run.

Each step reads from the run folder what the steps before it wrote there, so that every step can be
repeated on its own. The other rooms compute; the steps here find their inputs, write their results
and log what the user should know.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
