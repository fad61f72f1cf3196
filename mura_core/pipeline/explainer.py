"""Call explainers so that the fault of one is said and the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mura_core.errors import UsageError
from mura_plugins import Explainer, NotApplicable, PluginError
from mura_plugins.guard import in_words, is_from_user
from mura_plugins.manager import BUILT_IN, resolve
from mura_plugins.map_checks import network_state, odd_maps, unusable_maps
from mura_plugins.offers import Offer, unusable

if TYPE_CHECKING:
    from mura_plugins.network import Network

log = logging.getLogger("mura")

Result = TypeVar("Result")


class ExplainerFault(PluginError):
    """An explainer raised an exception, or returned maps that can't be drawn."""


class NothingDrawn(UsageError):
    """None of the methods has explained the network."""


class CheckedExplainer:
    """An explainer's function, whose faults are errors and warnings that name its distribution.

    It gets copies of the images, so it can't change those of the other methods.

    Parameters
    ----------
    offer : Offer of Explainer

    Raises
    ------
    PluginError
        The function can't be imported.

    Attributes
    ----------
    record : Explainer
    name : str
        Its name.
    """

    def __init__(self, offer: Offer[Explainer]) -> None:
        self.record = offer.record
        self.name = offer.record.name
        self._offer = offer
        self._function = resolve(offer.record.explain)
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}  # of maps, by that of images
        self._said: set[str] = set()

    def __call__(
        self, network: Network, images: NDArray[np.generic], *, toward: int, seed: int
    ) -> NDArray[np.float32]:
        """Return the maps (N, h, w) of images, as `mura_plugins.Explainer` describes them.

        Raises
        ------
        NotApplicable
            The method can't explain this network.
        ExplainerFault
            The function raises another exception, or its maps can't be drawn.
        """
        given = images.copy()
        try:
            maps = self._function(network, given, toward=toward, seed=seed)
        except NotApplicable:
            raise
        except BaseException as error:
            if is_from_user(error):
                raise
            log.debug("The explainer %s failed:", self.name, exc_info=True)
            raise self.fault(in_words(error)) from error
        return self._checked(maps, given, images)

    def _checked(
        self, maps: Any, given: NDArray[np.generic], images: NDArray[np.generic]
    ) -> NDArray[np.float32]:
        size = images.shape[1:]
        if reason := unusable_maps(maps, len(images), self._shapes.get(size)):
            raise self.fault(reason)
        self._shapes[size] = maps.shape[1:]
        if not np.array_equal(given, images):
            self._warn("it changes the images that it gets, which are copies")
        if reason := odd_maps(maps, signed=self.record.signed):
            self._warn(reason)
        return np.asarray(maps, np.float32)

    @contextmanager
    def leaving_unchanged(
        self,
        networks: Iterable[Network],
        images: NDArray[np.generic],
        reload: Callable[[], None],
    ) -> Iterator[None]:
        """Raise an ExplainerFault if the function changes networks in the block.

        Parameters
        ----------
        networks : iterable of Network
            The networks that it explains in the block.
        images : ndarray of shape (N, H, W)
            A few images, to see whether their logits change.
        reload : callable
            Called to replace changed networks by those of the run.
        """
        if self._offer.distribution == BUILT_IN:  # its own tests check this
            yield
            return
        networks = list(networks)
        before = [network_state(network, images) for network in networks]

        def is_changed() -> bool:
            after = [network_state(network, images) for network in networks]
            return any(one.differs_from(other) for one, other in zip(before, after, strict=True))

        try:
            yield
        except (ExplainerFault, NotApplicable):
            if is_changed():
                reload()
            raise
        if is_changed():
            reload()
            raise self.fault("it changes the network that it explains")

    def fault(self, reason: str) -> ExplainerFault:
        """Return an error that names the explainer and its distribution.

        Parameters
        ----------
        reason : str
            What is wrong, as a clause.
        """
        return ExplainerFault(unusable("explainer", self._offer, PluginError(reason)))

    def _warn(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            name, origin = self.name, self._offer.distribution
            log.warning("The explainer %s of %s breaks its contract: %s.", name, origin, reason)


def explain_each(
    methods: Sequence[CheckedExplainer], explain_by: Callable[[CheckedExplainer], Result]
) -> list[Result]:
    """Return a result for each method that explains the network, and say why others don't.

    Parameters
    ----------
    methods : sequence of CheckedExplainer
    explain_by : callable
        Returns the result of a method.

    Raises
    ------
    NothingDrawn
        No method explains the network.
    """
    results = []
    for method in methods:
        try:
            results.append(explain_by(method))
        except NotApplicable as error:
            log.warning("%s can't explain this network: %s", method.name, error)
        except ExplainerFault as error:
            log.warning("%s", error)
    if not results:
        names = ", ".join(method.name for method in methods)
        raise NothingDrawn(f"none of {names} can explain this network")
    return results
