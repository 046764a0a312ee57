"""What other packages bring: names to implementations, found by entry points.

Each extension point of zlab has one `Registry`. It is asked only for names that zlab does not know
itself, so no package can change what a registered name means; a package is imported when a name of
its own is asked for, so one that is broken fails what needs it and nothing else.

`docs/guide/plugins.md` shows each extension point with a package that the tests install and use.
"""

from __future__ import annotations

import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, final

from zlab.errors import ZlabError

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class _Plugin(NamedTuple):
    factory: Any
    package: str


@final
class Registry(Generic[T]):
    """One extension point.

    Args:
        what: What is registered, for messages, such as `"chunk grid"`.
        group: The entry point group.
        kind: What a factory has to return: a class, or a protocol that can be checked.
        error: Raised where a package is broken.
        is_known: Whether a name is zlab's own, which nobody else may register.

    Example:
        >>> from zlab.errors import MetadataError
        >>> shapes = Registry("shape", "example.shapes", tuple, MetadataError)
        >>> shapes.register("square", lambda side: (side, side))
        >>> shapes.make("square", 3), shapes.make("circle", 3)
        ((3, 3), None)
    """

    def __init__(
        self,
        what: str,
        group: str,
        kind: type[T],
        error: type[ZlabError],
        is_known: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.what = what
        self.group = group
        self._kind = kind
        self._error = error
        self._is_known = is_known
        self._plugins: dict[str, _Plugin] = {}
        self._lock = threading.Lock()

    @property
    def hint(self) -> str:
        """How an unknown name may become known."""
        return f"A package may bring it through the entry point group {self.group!r}"

    def register(self, name: str, factory: Callable[..., T]) -> None:
        """Adds a factory for the length of this process.

        Raises:
            ValueError: The name is zlab's own, or belongs to another factory.
        """
        with self._lock:
            found = self._plugins.get(name)
            if self._is_known(name) or (found is not None and found.factory is not factory):
                msg = f"the name {name!r} of a {self.what} is taken"
                raise ValueError(msg)
            self._plugins[name] = _Plugin(factory, getattr(factory, "__module__", "?"))

    def find(self, name: str) -> Any | None:
        """The factory of a name, `None` where no package brings it.

        Raises:
            ZlabError: The package that brings it cannot be imported.
        """
        plugin = self._find(name)
        return None if plugin is None else plugin.factory

    def make(self, name: str, *args: object, **options: object) -> T | None:
        """What the factory of a name makes, `None` where no package brings the name.

        Raises:
            ZlabError: The package that brings it cannot be imported, fails, or returns something
                else. Errors of zlab's own tree, which say what is wrong with the arguments, pass
                through.
        """
        plugin = self._find(name)
        if plugin is None:
            return None
        try:
            made = plugin.factory(*args, **options)
        except ZlabError:
            raise
        except Exception as error:
            raise self._broken(name, plugin.package, "failed", error) from error
        if not isinstance(made, self._kind):
            raise self._error(
                f"{self.what} {name!r} of the package {plugin.package!r} makes a "
                f"{type(made).__name__!r} where a {self._kind.__name__!r} belongs"
            )
        return made

    def _find(self, name: str) -> _Plugin | None:
        found = self._plugins.get(name)
        if found is not None:
            return found
        for entry in entry_points(group=self.group, name=name):
            package = _package(entry)
            try:
                plugin = _Plugin(entry.load(), package)
            except Exception as error:
                raise self._broken(name, package, "cannot be loaded", error) from error
            with self._lock:
                return self._plugins.setdefault(name, plugin)
        return None

    def _broken(self, name: str, package: str, how: str, error: Exception) -> ZlabError:
        return self._error(
            f"{self.what} {name!r} of the package {package!r} {how}: "
            f"{type(error).__name__}: {error}",
            hint=f"The package {package!r} is at fault, not the data",
        )


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module
