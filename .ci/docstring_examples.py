"""For the reference pages: an `Example:` section of a docstring is read as griffe's `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe

HEADER = re.compile(r"^Example:$", re.MULTILINE)


class DocstringExamples(griffe.Extension):
    """Both names are Google's; griffe knows one."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Renames the section, before anything parses the docstring."""
        del kwargs
        if obj.docstring:
            obj.docstring.value = HEADER.sub("Examples:", obj.docstring.value)
