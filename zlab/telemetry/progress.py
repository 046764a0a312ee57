"""Bars of progress, through tqdm: in a terminal, and as widgets in a notebook."""

from __future__ import annotations

import threading
import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from zlab.errors import MissingExtraError
from zlab.telemetry.events import PipelineStop, StageProgress, StreamProgress, StreamStop
from zlab.telemetry.hub import hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    Told: TypeAlias = StreamProgress | StreamStop | StageProgress | PipelineStop


class ProgressBar:
    """Draws a bar for each stream that it is told of, until it is closed.

    It is what `stream_chunks(progress=True)` uses, and can be called with the events itself.
    Where the output is no terminal, and no notebook either, nothing is drawn. Lines that
    `logging` writes to the terminal meanwhile appear above the bars.

    Args:
        **options: For tqdm, such as `leave`, `file` or `disable`.

    Raises:
        MissingExtraError: tqdm is not installed.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(1, 9), chunks=2)
        >>> for chunk in array.stream_chunks(progress=zlab.telemetry.ProgressBar()):
        ...     pass
    """

    def __init__(self, **options: Any) -> None:
        self._kind, is_notebook = _tqdm()
        # tqdm takes a notebook for no terminal
        self._options = {"dynamic_ncols": True} if is_notebook else {"disable": None}
        self._options |= {"unit": "chunk", "mininterval": 0.1, **options}
        self._is_notebook = is_notebook
        self._bars: dict[tuple[int, str], Any] = {}
        self._lock = threading.RLock()
        self._redirect = ExitStack()

    def __call__(self, event: Told) -> None:
        """Moves the bar of the event's stream, or closes it."""
        with self._lock:
            match event:
                case StreamProgress():
                    where = event.path or event.store
                    bar = self._bar(event.stream, event.kind, f"{event.kind} {where}")
                    bar.total = event.max_nchunks
                    bar.set_postfix_str(f"{event.nbytes / 1e6:.1f} MB", refresh=False)
                    bar.update(event.nchunks - bar.n)
                case StreamStop():
                    bar = self._bars.get((event.stream, event.kind))
                    if bar is not None:
                        if event.outcome == "exhausted":
                            # chunks that are not stored were counted in the bound
                            bar.total = event.nchunks
                        bar.update(event.nchunks - bar.n)
                        self._close(event.stream)
                case StageProgress():
                    bar = self._bar(event.pipeline, event.stage, event.stage, unit="item")
                    bar.set_postfix_str(f"{event.in_flight} in flight", refresh=False)
                    bar.update(event.nitems - bar.n)
                case PipelineStop():
                    self._close(event.pipeline)

    def close(self) -> None:
        """Leaves all bars as they are; a later event draws a new one."""
        with self._lock:
            for number, _ in list(self._bars):
                self._close(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _bar(self, number: int, part: str, title: str, **options: Any) -> Any:
        bar = self._bars.get((number, part))
        if bar is None:
            if not self._bars and not self._is_notebook:
                self._redirect.enter_context(_redirected(self._kind))
            bar = self._kind(desc=title, position=len(self._bars), **self._options | options)
            self._bars[number, part] = bar
        return bar

    def _close(self, number: int) -> None:
        for key in [key for key in self._bars if key[0] == number]:
            self._bars.pop(key).close()
        if not self._bars:
            self._redirect.close()


@contextmanager
def show_progress(**options: Any) -> Iterator[ProgressBar]:
    """Draws a bar for each stream and each stage of a pipeline that runs inside a `with` block.

    Args:
        **options: For tqdm, as of `ProgressBar`.

    Raises:
        MissingExtraError: tqdm is not installed.

    Example:
        >>> import numpy as np, zlab
        >>> array = zlab.create_array({}, data=np.arange(1, 9), chunks=2)
        >>> with zlab.telemetry.show_progress():
        ...     total = sum(int(chunk.data.sum()) for chunk in array.stream_chunks())
    """
    with ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(**options))
        listener: Any = bar
        for kind in (StreamProgress, StreamStop, StageProgress, PipelineStop):
            stack.enter_context(hub.subscribe(kind, listener))
        yield bar


def _tqdm() -> tuple[Any, bool]:
    try:
        with warnings.catch_warnings():
            # in a notebook without ipywidgets the bars are text
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm  # noqa: PLC0415  optional, and slow to load
    except ImportError as error:
        raise MissingExtraError("tqdm", "progress", "A bar of progress") from error
    return tqdm, any("notebook" in base.__module__ for base in tqdm.__mro__)


def _redirected(kind: Any) -> Any:
    from tqdm.contrib.logging import logging_redirect_tqdm  # noqa: PLC0415  as above

    return logging_redirect_tqdm(tqdm_class=kind)
