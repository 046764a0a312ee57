from __future__ import annotations

from typing import Any, NamedTuple

import pytest

import zlab
from zlab.group.aligned import Aligned


class Pair(NamedTuple):
    image: Any
    label: Any


@pytest.fixture
def group() -> zlab.Group:
    group = zlab.create_group({})
    for name in ("image", "label"):
        group.create_array(name, shape=(4,), dtype="i4")
    group.create_group("other")
    return group


def test_every_structure_comes_back_with_other_leaves(group: zlab.Group) -> None:
    image, label = group["image"], group["label"]
    for structure, expected in [
        (image, 0),
        ((image,), (0,)),
        ([image, label], [0, 1]),
        ({"b": image, "a": label}, {"b": 0, "a": 1}),
        (Pair(image, label), Pair(0, 1)),
        ({"x": (image, [label]), "y": Pair(label, {})}, {"x": (0, [1]), "y": Pair(2, {})}),
        (group, {"image": 0, "label": 1}),
    ]:
        aligned = Aligned.of(structure)
        built = aligned.build(range(len(aligned.arrays)))
        assert built == expected
        assert type(built) is type(expected)


def test_names_say_where_an_array_stands(group: zlab.Group) -> None:
    aligned = Aligned.of(({"a": group["image"]}, group), "x")
    assert aligned.names == ("x[0]['a']", "x[1]['image']", "x[1]['label']")
    assert aligned.arrays == (group["image"], group["image"], group["label"])


def test_other_things_are_refused(group: zlab.Group) -> None:
    with pytest.raises(TypeError, match=r"x\[1\]\['b'\] must be a zlab.Array, .* not int"):
        Aligned.of((group["image"], {"b": 3}), "x")
    with pytest.raises(TypeError, match=r"arrays must be a zlab.Array, .* not str"):
        Aligned.of("demo")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x holds no arrays"):
        Aligned.of({}, "x")
    with pytest.raises(ValueError, match="arrays holds no arrays"):
        Aligned.of(group["other"])
