"""Pages and texts for people: the report, tables for the console, contact sheets.

Everything here is made from the files of a run folder, and computes no figure of its own. Sentences
are made when they are shown; the files hold numbers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
