"""Training: settings, model, optimizer, training loop, checkpoints and memory estimates.

`fit_model` trains a network behind its standardisation layer, saves a checkpoint after every epoch
and raises TrainingCollapsed if the network gives every image the same answer. `memory` and `plan`
estimate the GPU memory of a run before it starts. All modules except `settings` and `history`
import TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
