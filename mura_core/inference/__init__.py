"""Load trained models, predict and export them, and choose devices.

A saved model is a plain Keras model from pixel values to the logit for 'abnormal'; standardisation
is its first layer. Loading a model never runs code from its file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
