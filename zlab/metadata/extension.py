"""An extension point in a metadata document: a name with a configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zlab.errors import MetadataError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class NamedConfig:
    """A codec, data type, chunk grid, key encoding or storage transformer, as it is written.

    Attributes:
        name: The extension's name.
        configuration: Its parameters, JSON values.
        must_understand: Whether a reader that does not know the name has to refuse the node.

    Source: Zarr v3.1 core specification, section "Extension points".
    """

    name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    must_understand: bool = True

    @classmethod
    def parse(cls, value: object, what: str) -> NamedConfig:
        """Parses the object form, or the bare string that stands for a name alone.

        Args:
            value: From the document.
            what: What it is, for messages, such as `"codecs[1]"`.

        Raises:
            MetadataError: It is neither form.
        """
        if isinstance(value, str):
            return cls(value)
        if not isinstance(value, dict):
            msg = f"{what} must be a name or an object with a name, not {value!r:.80}"
            raise MetadataError(msg)
        name = value.get("name")
        if not isinstance(name, str) or not name:
            msg = f"{what} has no name"
            raise MetadataError(msg)
        configuration = value.get("configuration", {})
        if not isinstance(configuration, dict):
            msg = f"the configuration of {what} ({name!r}) must be an object"
            raise MetadataError(msg)
        must_understand = value.get("must_understand", True)
        if not isinstance(must_understand, bool):
            msg = f"must_understand of {what} ({name!r}) must be true or false"
            raise MetadataError(msg)
        unknown = set(value) - {"name", "configuration", "must_understand"}
        if unknown:
            msg = f"{what} ({name!r}) has unknown fields {sorted(unknown)}"
            raise MetadataError(msg)
        return cls(name, configuration, must_understand)

    def format(self) -> dict[str, Any]:
        """The object form."""
        document: dict[str, Any] = {"name": self.name}
        # zarr-python refuses the codecs of numcodecs without one
        if self.configuration or self.name.startswith("numcodecs."):
            document["configuration"] = dict(self.configuration)
        if not self.must_understand:
            document["must_understand"] = False
        return document
