"""The scripts of the widgets, built from `js/`."""

from __future__ import annotations

from pathlib import Path

from zlab.errors import ZlabError

STATIC = Path(__file__).parent.parent / "static"


def read_bundle(name: str) -> str:
    """The script of a widget.

    Raises:
        ZlabError: It was not built, which happens in a checkout, never in an installed wheel.
    """
    path = STATIC / f"{name}.js"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ZlabError(
            f"the widget's script {path} is missing", hint="Build it with: npm run build"
        ) from error
