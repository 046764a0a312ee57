"""The variables of a dataset as batches for JAX, of the values that xarray shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from zlab.xarray.sources import whole_source

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from zlab.jax.loader import Loader
    from zlab.xarray.sources import Source


class Part(NamedTuple):
    """What stands for `x`, or for `y`: the values of one variable, or a dict of several.

    Attributes:
        names: Of the variables.
        is_single: Whether there is no dict.
    """

    names: tuple[Hashable, ...]
    is_single: bool

    def of(self, values: Callable[[Hashable], Any]) -> Any:
        """The value of the one variable, or a dict."""
        if self.is_single:
            return values(self.names[0])
        return {name: values(name) for name in self.names}

    def changed(self, part: Any, change: Callable[[Hashable, Any], Any]) -> Any:
        """The same with other values."""
        return self.of(lambda name: change(name, part if self.is_single else part[name]))


def load_batches(
    dataset: xr.Dataset,
    batch_size: int,
    *,
    x: Hashable | Sequence[Hashable] | None,
    y: Hashable | Sequence[Hashable] | None,
    axis: Any,
    windows: Mapping[Any, int] | None,
    overlap: Mapping[Any, int] | None,
    dtype: Any,
    transform: Callable[[Any], Any] | None,
    **options: Any,
) -> Loader:
    """The loader; `Dataset.zlab.batches` tells what the arguments mean."""
    from zlab.jax.loader import Loader  # noqa: PLC0415  whoever is here wants JAX

    labels = None if y is None else _part(dataset, y)
    rest = [name for name in dataset.data_vars if labels is None or name not in labels.names]
    samples = _part(dataset, rest if x is None else x)
    names = samples.names + (() if labels is None else labels.names)
    variables = {name: dataset[name].variable for name in names}
    sources = {
        name: whole_source(name, variable, "batches are") for name, variable in variables.items()
    }
    dtypes = _dtypes(variables, dtype)
    if any(source.decoding for source in sources.values()):
        transform = _decoding(samples, labels, variables, sources, dtypes, transform)
        dtypes = dict.fromkeys(names)
    if axis is None and windows is None:
        axis = variables[names[0]].dims[:1] or None

    def stored(keys: Any) -> Any:
        return _stored_axes(keys, variables, sources)

    arrays = {name: source.array for name, source in sources.items()}
    return Loader(
        samples.of(arrays.get),
        None if labels is None else labels.of(arrays.get),
        batch_size=batch_size,
        axis=stored(axis),
        windows=stored(windows),
        overlap=stored(overlap),
        dtype=_like_batch(samples, labels, dtypes),
        transform=transform,
        **options,
    )


def _dtypes(variables: Mapping[Hashable, xr.Variable], dtype: Any) -> dict[Hashable, Any]:
    """What each variable is cast to, `None` for no cast."""
    if not isinstance(dtype, Mapping):
        return dict.fromkeys(variables, dtype)
    for name in dtype:
        if name not in variables:
            msg = f"dtype= names {name!r}; the variables are {', '.join(map(repr, variables))}"
            raise ValueError(msg)
    return {name: dtype.get(name) for name in variables}


def _like_batch(samples: Part, labels: Part | None, values: Mapping[Hashable, Any]) -> Any:
    x = samples.of(values.get)
    return x if labels is None else (x, labels.of(values.get))


def _part(dataset: xr.Dataset, names: Hashable | Sequence[Hashable]) -> Part:
    several = isinstance(names, Iterable) and not isinstance(names, (str, bytes, tuple))
    chosen: tuple[Hashable, ...] = tuple(names) if several else (names,)  # type: ignore[arg-type]
    for name in chosen:
        if name not in dataset.variables:
            known = ", ".join(map(repr, dataset.data_vars))
            msg = f"there is no variable {name!r}; there are {known}"
            raise ValueError(msg)
    if not chosen:
        msg = "the dataset has no variables to make batches of"
        raise ValueError(msg)
    return Part(chosen, is_single=not several)


def _stored_axes(
    keys: Any, variables: Mapping[Hashable, xr.Variable], sources: Mapping[Hashable, Source]
) -> Any:
    """Axes by the names that the arrays have, or by number, where xarray has other names."""
    if keys is None:
        return None
    if isinstance(keys, dict):
        return {_stored_axis(key, variables, sources): value for key, value in keys.items()}
    if isinstance(keys, (list, tuple)):
        return tuple(_stored_axis(key, variables, sources) for key in keys)
    return _stored_axis(keys, variables, sources)


def _stored_axis(
    key: Any, variables: Mapping[Hashable, xr.Variable], sources: Mapping[Hashable, Source]
) -> Any:
    found = set()
    for name, variable in variables.items():
        if isinstance(key, int):
            continue
        if key not in variable.dims:
            msg = f"{name!r} has no dimension {key!r}; it has {', '.join(map(repr, variable.dims))}"
            raise ValueError(msg)
        axis = variable.dims.index(key)
        stored = sources[name].array.dimension_names
        found.add(axis if stored is None or stored[axis] is None else stored[axis])
    if len(found) > 1:
        msg = f"the arrays have different names or places for {key!r}: {sorted(map(str, found))}"
        raise ValueError(msg)
    return found.pop() if found else key


def _decoding(
    samples: Part,
    labels: Part | None,
    variables: Mapping[Hashable, xr.Variable],
    sources: Mapping[Hashable, Source],
    wanted: Mapping[Hashable, Any],
    then: Callable[[Any], Any] | None,
) -> Decoding:
    from zlab.jax.dtypes import chosen_dtype  # noqa: PLC0415  whoever is here wants JAX

    if hasattr(then, "lower"):
        decoded = ", ".join(repr(name) for name, source in sources.items() if source.decoding)
        msg = (
            f"xarray decodes {decoded} in NumPy, which comes after a transform that runs on the "
            "device: pass the function without jax.jit and call it in the loop, or open with "
            "mask_and_scale=False"
        )
        raise ValueError(msg)
    dtypes = {
        name: chosen_dtype(variable.dtype, wanted[name], f"variable {name!r}")
        for name, variable in variables.items()
    }
    return Decoding(samples, labels, dict(sources), dtypes, then)


@final
@dataclass(frozen=True, slots=True)
class Decoding:
    """Decodes batches as xarray does, before the user's function has them.

    Attributes:
        samples: Which variables `x` is made of.
        labels: And `y`, where there is one.
        sources: What decodes each.
        dtypes: What each is cast to then.
        then: The user's function.
    """

    samples: Part
    labels: Part | None
    sources: Mapping[Hashable, Source]
    dtypes: Mapping[Hashable, np.dtype[Any]]
    then: Callable[[Any], Any] | None

    def __call__(self, batch: Any) -> Any:
        """A batch of NumPy arrays, decoded."""
        if self.labels is None:
            made = self.samples.changed(batch, self._decoded)
        else:
            x, y = batch
            made = (
                self.samples.changed(x, self._decoded),
                self.labels.changed(y, self._decoded),
            )
        return made if self.then is None else self.then(made)

    def _decoded(self, name: Hashable, values: NDArray[Any]) -> NDArray[Any]:
        from zlab.jax.dtypes import converted  # noqa: PLC0415  whoever is here has JAX

        return converted(self.sources[name].decoded(values), self.dtypes[name])
