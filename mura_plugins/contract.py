"""What the checks for plugin authors raise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

from mura_plugins.errors import MuraError, NotApplicable
from mura_plugins.guard import in_words, is_from_user

Arguments = ParamSpec("Arguments")


class ContractError(MuraError, AssertionError):
    """A plugin breaks its contract. The message says what is wanted, and what was seen."""


def require(kept: object, broken: str) -> None:
    """Raise a ContractError unless a requirement is kept.

    Parameters
    ----------
    kept : object
        Whether it is kept.
    broken : str
        What is wanted and what was seen, as a clause.
    """
    if not kept:
        raise ContractError(broken)


def raising_contract_errors(check: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Return a check whose only errors are ContractError and NotApplicable.

    What the plugin's own code raises in the check becomes the message of a ContractError.

    Parameters
    ----------
    check : callable
    """

    @functools.wraps(check)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            check(*args, **kwargs)
        except (ContractError, NotApplicable):
            raise
        except BaseException as error:
            if is_from_user(error):
                raise
            said = in_words(error)
            is_ours = isinstance(error, MuraError)
            raise ContractError(said if is_ours else f"it raises {said}") from error

    return checked
