"""Trained models: loaded, run on images, exported; and the devices they run on.

A saved model is a plain Keras model from pixel values to the logit of 'abnormal', with its
standardisation inside. Loading one never runs code from its file.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
