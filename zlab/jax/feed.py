"""Feeds: sample batches that are cast, transformed and put on devices ahead of a loop."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, final

import jax

from zlab.jax.destination import check_leaves
from zlab.jax.dtypes import checked_dtype, converted
from zlab.stream.ahead import prefetched
from zlab.stream.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy as np

    from zlab.jax.destination import Destination
    from zlab.samples import SampleBatch, SampleStream
    from zlab.stream.ahead import Halt
    from zlab.stream.tally import Tally


# until JAX 0.8 it was an experiment
_enable_x64: Any = (jax if hasattr(jax, "enable_x64") else jax.experimental).enable_x64

_QUICK_NBYTES = 4 << 20  # of a batch that is taken over by the CPU as it was read ahead


class Context(NamedTuple):
    """What JAX is told for one thread, and another thread is to know.

    Attributes:
        x64: Whether there are types of 64 bits.
        device: The default one, `None` for JAX's choice.
    """

    x64: bool
    device: object

    @classmethod
    def current(cls) -> Self:
        """What this thread was told."""
        config: Any = jax.config
        return cls(config.jax_enable_x64, config.jax_default_device)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Tells it this thread."""
        with ExitStack() as stack:
            stack.enter_context(_enable_x64(self.x64))
            stack.enter_context(jax.default_device(self.device))
            yield


@final
@dataclass(frozen=True, eq=False, repr=False)
class Feed(Stream[Any]):
    """Batches on devices, from where the samples start.

    Attributes:
        samples: The same batches as NumPy arrays.
        names: Of the arrays, as errors call them.
        dtypes: Of the batches of each array: they are cast where they have another.
        transform: Called with each batch of NumPy arrays, where there is one.
        destination: Where the batches go.
        prefetch: Batches that are made ahead.
        context: Of the thread that asks for them.
    """

    kind: ClassVar[str] = "batches"

    samples: SampleStream
    names: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]
    transform: Callable[[Any], Any] | None
    destination: Destination
    prefetch: int
    context: Context

    @property
    def max_nchunks(self) -> int:
        """Chunks that an iteration visits at most."""
        return self.samples.max_nchunks

    @property
    def item_nbytes(self) -> int:
        """Bytes of a whole batch."""
        return self.samples.batch_nbytes

    def within(self, max_bytes: int) -> Self:
        """The same batches with so many bytes to hold."""
        return replace(self, samples=self.samples.within(max_bytes))

    @property
    def max_bytes(self) -> int:
        """Bytes that are held besides the batches."""
        return self.samples.max_bytes

    def items(self, halt: Halt, tally: Tally) -> Generator[Any]:
        """One iteration."""
        if self.transform is None:
            with self.context.entered():
                for dtype in self.dtypes:
                    checked_dtype(dtype, "a batch")
        yield from prefetched(
            self._put(halt, tally),
            nbytes=self.samples.batch_nbytes,
            depth=0 if self._is_quick else self.prefetch,
            halt=halt,
        )

    @property
    def _is_quick(self) -> bool:
        """Whether a batch is made in less time than another thread takes to hand it on."""
        return (
            self.samples.batch_nbytes < _QUICK_NBYTES
            and self.transform is None
            and self.dtypes == self.samples.dtypes
            and self.destination.is_host(self.context.device)
        )

    def _put(self, halt: Halt, tally: Tally) -> Iterator[Any]:
        for samples in self.samples.items(halt, tally):
            with self.context.entered():
                # JAX returns at once: a device copies while the next batch is made. It refers to
                # the memory until it has, or for ever where it takes it over, and what anybody
                # refers to is not written again.
                batch = self.destination.put(self._on_host(samples))
            del samples
            yield batch
            del batch

    def _on_host(self, samples: SampleBatch) -> Any:
        arrays = map(converted, samples.arrays, self.dtypes)
        batch = self.destination.structure.unflatten(arrays)
        if self.transform is None:
            return batch
        try:
            made = self.transform(batch)
            check_leaves(made)
        except Exception as error:
            error.add_note(
                f"while transform={_name_of(self.transform)} was called with the samples "
                f"{_few(samples.indices)}"
            )
            raise
        return made


def _name_of(fn: object) -> str:
    return str(getattr(fn, "__qualname__", None) or repr(fn))


def _few(indices: np.ndarray[Any, Any]) -> str:
    few = ", ".join(map(str, indices[:8].tolist()))
    return f"{few}, ..." if len(indices) > 8 else few  # noqa: PLR2004  a line
