"""Training: a network's settings, its model and optimizer, and its epochs.

`fit_model` trains a network behind its standardisation, saves a checkpoint after every epoch and
raises TrainingCollapsed if the network stops telling images apart. `memory` and `plan` say before
a run how much GPU memory it takes. TensorFlow is imported here, but for `settings` and `history`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
