"""What a distribution offers, or fails to offer, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from mura_plugins.guard import in_words
from mura_plugins.record_checks import Record


@dataclass(frozen=True)
class Offer(Generic[Record]):
    """A record, and the distribution that offers it."""

    record: Record
    distribution: str
    version: str


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded, and why."""

    plugin: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        """Return a sentence that names the plugin, its distribution and the remedy."""
        return (
            f"The plugin {self.plugin!r} of {self.distribution} failed to load and is not used:"
            f" {self.reason.rstrip('.')}. Update or uninstall {self.distribution}."
        )


def unusable(kind: str, offer: Offer[Any], error: BaseException) -> str:
    """Return a sentence about a record that can't be used, which names its distribution.

    Parameters
    ----------
    kind : str
        What the record is, such as "reader".
    offer : Offer
    error : BaseException
        Why it can't be used.
    """
    reason = in_words(error).rstrip(".")
    return (
        f"The {kind} {offer.record.name} of {offer.distribution} is not used: {reason}. Update or"
        f" uninstall {offer.distribution}."
    )
