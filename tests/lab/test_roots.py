from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import zlab
from zlab.lab.paths import DocumentTooLargeError
from zlab.lab.roots import Access, Roots

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("lab")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(3):
        zlab.create_group(tmp_path / f"{number}.zarr", attributes={"number": number})
    return tmp_path


def roots(root: Path, kept: int = 2, **access: Any) -> Roots:
    values: dict[str, Any] = {
        "root": root,
        "allow_hidden": False,
        "allowed_urls": (),
        "max_document_nbytes": 10_000,
    }
    return Roots(Access(**{**values, **access}), kept)


def test_a_root_is_kept_while_it_stays_the_same(root: Path) -> None:
    opened = roots(root)
    first = opened.open("0.zarr")
    assert opened.open("0.zarr") is first
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"number": 100}}
    (root / "0.zarr" / "zarr.json").write_text(json.dumps(document))
    assert dict(opened.open("0.zarr").attrs) == {"number": 100}
    (root / "0.zarr" / "zarr.json").unlink()
    with pytest.raises(zlab.errors.NodeNotFoundError):
        opened.open("0.zarr")


def test_metadata_that_are_consolidated_later_are_seen(root: Path) -> None:
    opened = roots(root)
    group = zlab.create_group(root / "old.zarr", zarr_format=2)
    group.create_array("a", shape=(2,), dtype="int8")
    assert not opened.open("old.zarr").consolidated  # type: ignore[union-attr]
    documents = {".zgroup": {"zarr_format": 2}}
    (root / "old.zarr" / ".zmetadata").write_text(
        json.dumps({"zarr_consolidated_format": 1, "metadata": documents})
    )
    assert opened.open("old.zarr").consolidated  # type: ignore[union-attr]


def test_the_least_recently_used_is_dropped(root: Path) -> None:
    opened = roots(root, kept=2)
    zero, one = opened.open("0.zarr"), opened.open("1.zarr")
    assert opened.open("0.zarr") is zero
    opened.open("2.zarr")
    assert opened.open("0.zarr") is zero
    assert opened.open("1.zarr") is not one


def test_nothing_is_kept_where_nothing_may_be(root: Path) -> None:
    opened = roots(root, kept=0)
    assert opened.open("0.zarr") is not opened.open("0.zarr")


def test_members_are_read_anew(root: Path) -> None:
    opened = roots(root)
    group = zlab.open(root / "0.zarr", mode="r+")
    assert isinstance(group, zlab.Group)
    group.create_array("a", shape=(2,), dtype="int8")
    seen = opened.open("0.zarr")
    assert isinstance(seen, zlab.Group)
    assert seen["a"].shape == (2,)  # type: ignore[union-attr]
    group.create_array("a", shape=(3,), dtype="int8", overwrite=True)
    assert opened.open("0.zarr")["a"].shape == (3,)  # type: ignore[union-attr, index]


def test_what_is_opened_is_read_only_and_confined(root: Path) -> None:
    node = roots(root).open("0.zarr")
    with pytest.raises(zlab.errors.ReadOnlyError):
        node.attrs["x"] = 1
    with pytest.raises(DocumentTooLargeError):
        roots(root, max_document_nbytes=10).open("0.zarr")
