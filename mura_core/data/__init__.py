"""Data sets: manifests, splits by patient, and prepared images.

`Manifest` lists every image with its label, patient, study and body part. `PreparedImages` holds
the decoded images as a memory map on disk, so that peak memory doesn't grow with the number of
images.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
