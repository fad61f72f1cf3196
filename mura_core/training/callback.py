"""After each epoch: judge, remember, decide, and save what training can go on from."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mura_core.errors import DataError
from mura_core.files import replacing, temporary_sibling, write_csv
from mura_core.inference import predict_logits
from mura_core.progress import Progress
from mura_core.training.collapse import TrainingCollapsed, collapse_reason, least_active_layer
from mura_core.training.history import read_history
from mura_core.training.settings import Recipe

# Called after each epoch with its number, the number of epochs, and its row of history.csv.
EpochDone = Callable[[int, int, Mapping[str, float]], None]

_WATCHED_FOR_COLLAPSE = 32  # training images of each label
_PLATEAU_EPOCHS = 3
_PLATEAU_FACTOR = 0.1  # Rajpurkar et al. 2017, section 3.1

Rows = tuple[NDArray[np.intp], NDArray[np.integer]]


class Follow(keras.callbacks.Callback):
    """Follows a training, whose model may be wrapped in another that augments.

    Parameters
    ----------
    judged : keras.Model
        From raw images to logits; what is saved.
    images : ndarray of shape (N, H, W), uint8
    splits : mapping
        The rows and the labels of `train`, `tune` and `valid`.
    recipe : Recipe
    folder : Path
        Where it saves.
    seed : int
        Of this training: `history.csv` keeps the epochs of earlier seeds, which collapsed.
    identity : str
        Tells the images of one training from those of another.
    """

    step_done: Progress | None = None
    epoch_done: EpochDone | None = None
    images_an_epoch = 0
    feed_images_per_second = np.nan

    def __init__(
        self,
        judged: keras.Model,
        images: NDArray[np.uint8],
        splits: Mapping[str, Rows],
        recipe: Recipe,
        folder: Path,
        seed: int,
        identity: str,
    ) -> None:
        super().__init__()
        self._judged, self._images, self._splits = judged, images, splits
        self._recipe, self._folder, self._identity = recipe, folder, f"{identity} {seed}"
        self._seed = seed
        self._earlier = [row for row in read_history(folder) if row["seed"] != seed]
        self._sample = _of_both_labels(*splits["train"])
        self._history: list[dict[str, float]] = []
        self._optimizer: Any = None
        self._best = np.inf  # of the watched figure; less is better
        self._without_better = 0  # epochs since then
        self._since_lowered = 0  # epochs since then, or since the rate was lowered
        self._started = 0.0

    def go_on_from(self, optimizer: keras.optimizers.Optimizer) -> int:
        """Load the checkpoint, if there is one; return how many epochs are done."""
        self._optimizer = optimizer
        path = self._folder / "checkpoint.npz"
        if not path.is_file():
            return 0
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                saved = [arrays[name] for name in about["arrays"]]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: is no checkpoint ({error}); delete it to begin anew"
            ) from None
        variables = self._variables()
        if [list(array.shape) for array in saved] != [list(one.shape) for one in variables]:
            raise DataError(f"{path}: is the checkpoint of another network, or another recipe")
        if about["identity"] != self._identity:
            raise DataError(f"{path}: is of other images: the data has changed since")
        for variable, array in zip(variables, saved, strict=True):
            variable.assign(array)
        self._history = about["history"]
        self._best = about["best"] if about["best"] is not None else np.inf
        self._without_better = about["without_better"]
        self._since_lowered = about["since_lowered"]
        return len(self._history)

    @property
    def has_ended(self) -> bool:
        """Whether the last epoch is done, or training has stopped early."""
        return len(self._history) >= self._recipe.epochs or self._stops_early

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, with the best watched figure."""
        return len(self._history) - self._without_better

    @property
    def _stops_early(self) -> bool:
        return 0 < self._recipe.early_stopping <= self._without_better

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Tell how far it has come."""
        if self.step_done:
            steps = self.params["steps"]
            self.step_done(len(self._history) * steps + batch + 1, self.params["epochs"] * steps)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Judge the model, decide what the recipe leaves to figures, and save."""
        seconds = time.perf_counter() - self._started
        row: dict[str, Any] = {"seed": self._seed, "epoch": epoch + 1, **(logs or {})}
        total, row["loss"] = row["loss"], row.pop("image_loss")
        if any(layer.name == "cell_loss" for layer in self.model.layers):
            row["cell_loss"] = total - row["loss"]
        for split, prefix in (("tune", "tune"), ("valid", "val")):
            row |= self._judge(prefix, *self._splits[split])
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self._optimizer.learning_rate))
        row["seconds"] = seconds
        row["images_per_second"] = self.images_an_epoch / seconds
        row["feed_images_per_second"] = self.feed_images_per_second
        self._stop_if_collapsed(row)
        better = self._watch(row)
        self._history.append(row)
        self._write_history()
        if better or self._recipe.keep == "last":
            save_model(self._judged, self._folder / "model.keras")
        # Last: what it says is done must be on the disk.
        self._save_checkpoint()
        if self.epoch_done:
            self.epoch_done(epoch + 1, self.params["epochs"], row)
        if self._stops_early:
            self.model.stop_training = True

    def _stop_if_collapsed(self, row: dict[str, Any]) -> None:
        """Raise TrainingCollapsed where the network no longer tells training images apart."""
        logits = predict_logits(self._judged, self._images, self._sample)
        least_active = least_active_layer(self._judged, self._images[self._sample])
        row["least_active_share"] = least_active.share if least_active else np.nan
        row["least_active_layer"] = least_active.layer if least_active else ""
        row["collapse"] = collapse_reason(logits, least_active, row["loss"]) or ""
        if row["collapse"]:
            # Nothing can be resumed from it. Its model is kept to be looked at.
            (self._folder / "checkpoint.npz").unlink(missing_ok=True)
            self._history.append(row)
            self._write_history()
            save_model(self._judged, self._folder / "model.keras")
            raise TrainingCollapsed(row["epoch"], row["collapse"])

    def _write_history(self) -> None:
        rows = pd.DataFrame([*self._earlier, *self._history])
        write_csv(self._folder / "history.csv", rows)

    def _watch(self, row: Mapping[str, float]) -> bool:
        """Compare the watched figure with the best so far; lower the rate on a plateau."""
        if not self._recipe.watches:
            return False
        figure = row[f"tune_{self._recipe.watch}"]
        figure = -figure if self._recipe.watch == "auroc" else figure
        better = bool(figure < self._best)
        if better:
            self._best = figure
        self._without_better = 0 if better else self._without_better + 1
        self._since_lowered = 0 if better else self._since_lowered + 1
        if self._recipe.schedule == "plateau" and self._since_lowered >= _PLATEAU_EPOCHS:
            self._optimizer.learning_rate.assign(row["learning_rate"] * _PLATEAU_FACTOR)
            self._since_lowered = 0
        return better

    def _judge(
        self, prefix: str, rows: NDArray[np.intp], labels: NDArray[np.integer]
    ) -> dict[str, float]:
        from sklearn.metrics import roc_auc_score

        if len(rows) == 0:
            return {}
        logits = predict_logits(self._judged, self._images, rows).astype(np.float64)
        if not np.isfinite(logits).all():
            return {f"{prefix}_loss": np.nan, f"{prefix}_auroc": np.nan}
        # Of a logit z: log(1 + exp(-z)) for an abnormal image, log(1 + exp(z)) for a normal one.
        losses = np.logaddexp(0, np.where(labels == 1, -logits, logits))
        both = len(np.unique(labels)) == 2
        return {
            f"{prefix}_loss": float(losses.mean()),
            f"{prefix}_auroc": float(roc_auc_score(labels, logits)) if both else np.nan,
        }

    def _variables(self) -> list[Any]:
        # The model's hold the state of its dropout layers' generators, too; `weights` don't.
        return [*self._judged.variables, *self._optimizer.variables]

    def _save_checkpoint(self) -> None:
        arrays = {
            f"{number:05}": keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(self._variables())
        }
        about = {
            "identity": self._identity,
            "arrays": list(arrays),
            "history": self._history,
            "best": None if np.isinf(self._best) else self._best,
            "without_better": self._without_better,
            "since_lowered": self._since_lowered,
        }
        with replacing(self._folder / "checkpoint.npz", "wb") as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)


def _of_both_labels(rows: NDArray[np.intp], labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return some rows of each label, evenly spaced, label by label in turn."""
    chosen = []
    for label in (0, 1):
        own = rows[labels == label]
        places = np.linspace(0, len(own) - 1, min(len(own), _WATCHED_FOR_COLLAPSE)).astype(int)
        chosen += list(zip(range(len(places)), own[places], strict=True))
    return np.array([row for _, row in sorted(chosen)], np.intp)


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file in the place of an older one, whole or not at all.

    Raises
    ------
    DataError
        The disk is full.
    """
    temporary = temporary_sibling(path)
    try:
        model.save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: can't be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
