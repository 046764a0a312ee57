"""Configurations are read strictly: what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from zlab.codecs.parameters import Parameters
from zlab.errors import MetadataError


def test_values_are_taken_and_defaults_filled_in() -> None:
    parameters = Parameters("c", {"a": 5.0, "b": True, "c": 1, "d": "x", "e": [1, 2]})
    assert parameters.integer("a", 0, 9) == 5
    assert parameters.boolean("b") is True
    assert parameters.number("c") == 1
    assert parameters.choice("d", ("x", "y")) == "x"
    assert parameters.integers("e", 1) == (1, 2)
    assert parameters.integer("f", 0, 9, 7) == 7
    parameters.close()


@pytest.mark.parametrize(
    ("method", "arguments", "value"),
    [
        ("integer", (0, 9), 10),
        ("integer", (0, 9), "5"),
        ("integer", (0, 9), True),
        ("integer", (0, 9), 1.5),
        ("integer", (0, 9), None),
        ("number", (), "1"),
        ("number", (), True),
        ("boolean", (), 1),
        ("choice", ((0, 1),), True),
        ("choice", (("x", "y"),), "z"),
        ("choice", (("x", "y"),), ["x"]),
        ("integers", (1,), [0]),
        ("integers", (1,), [1.5]),
        ("integers", (1,), 3),
        ("codecs", (), {}),
        ("codecs", (), [5]),
    ],
)
def test_a_wrong_value_is_named_with_its_codec(
    method: str, arguments: tuple[Any, ...], value: object
) -> None:
    parameters = Parameters("mine", {"level": value})
    with pytest.raises(MetadataError, match="'mine'"):
        getattr(parameters, method)("level", *arguments)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(MetadataError, match="'mine' needs the parameter 'level'"):
        Parameters("mine", {}).integer("level", 0, 9)


def test_parameters_that_are_left_over_are_named() -> None:
    with pytest.raises(MetadataError, match=r"'mine' has unknown parameters \['speed'\]"):
        Parameters("mine", {"speed": 3}).close()
