"""What streams are asked for, checked when they are described and not when they are read."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import SupportsIndex


def check_kind(value: object, kind: type | tuple[type, ...], what: str, wanted: str) -> None:
    """Raises an error where something else was passed than what is wanted.

    Args:
        value: What was passed.
        kind: The types that are taken.
        what: The argument's name.
        wanted: What to pass, in words.

    Raises:
        TypeError: The value is not of the kind.

    Example:
        >>> check_kind({}, dict, "coords", "a mapping")
    """
    if not isinstance(value, kind):
        msg = f"{what} must be {wanted}, not {type(value).__name__}"
        raise TypeError(msg)


def check_callable(value: object, what: str, wanted: str) -> None:
    """Raises an error where something else was passed than a function.

    Raises:
        TypeError: It cannot be called.

    Example:
        >>> check_callable(len, "fn", "a function of an item")
    """
    if not callable(value):
        msg = f"{what} must be {wanted}, not {type(value).__name__}"
        raise TypeError(msg)


def whole_number(value: SupportsIndex, what: str, *, least: int | None = None) -> int:
    """Returns a whole number.

    Args:
        value: What was passed.
        what: The argument's name.
        least: The smallest number that is allowed; any by default.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is less than `least`.

    Example:
        >>> whole_number(3, "length", least=1)
        3
    """
    try:
        number = operator.index(value)
    except TypeError as error:
        msg = f"{what} must be a whole number, not {value!r:.80}"
        raise TypeError(msg) from error
    if least is not None and number < least:
        msg = f"{what} must be at least {least}, not {number}"
        raise ValueError(msg)
    return number


def flag(value: object, what: str) -> bool:
    """Returns `True` or `False`: nothing else is taken for one, as `"no"` would be true.

    Args:
        value: What was passed.
        what: The argument's name.

    Raises:
        TypeError: It is neither.

    Example:
        >>> flag(True, "shuffle")
        True
    """
    if not isinstance(value, (bool, np.bool_)):
        msg = f"{what} must be True or False, not {value!r:.80}"
        raise TypeError(msg)
    return bool(value)


def seconds(value: object, what: str) -> float:
    """Returns a time span in seconds.

    Args:
        value: What was passed.
        what: The argument's name.

    Raises:
        TypeError: It is no number.
        ValueError: It is not greater than 0.

    Example:
        >>> seconds(30, "timeout")
        30.0
    """
    if isinstance(value, (bool, str)):
        msg = f"{what} must be a number of seconds, not {value!r:.80}"
        raise TypeError(msg)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        msg = f"{what} must be a number of seconds, not {value!r:.80}"
        raise TypeError(msg) from error
    if not number > 0:
        msg = f"{what} must be more than 0 seconds, not {number}"
        raise ValueError(msg)
    return number
