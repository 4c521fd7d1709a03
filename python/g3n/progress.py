"""Bars for what takes long: on a terminal or in a notebook, never elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Union

Progress = Union[str, bool, Callable[[int, int], Any]]
PATIENCE_SECONDS = 2.0


class Bar:
    """Told how much is done. progress: "auto", True, False, or a function of (done, total)."""

    def __init__(self, name: str, progress: Progress, patience: float = PATIENCE_SECONDS) -> None:
        self._name = name
        self._told: Callable[[int, int], Any] | None = progress if callable(progress) else None
        self._shows = progress is True or (progress == "auto" and _is_watched())
        self._begin = time.monotonic() + (0.0 if progress is True else patience)
        self._tqdm: Any = None
        self._wrote = False
        self._last = (-1, -1)

    def update(self, done: int, total: int) -> None:
        if total <= 0 or (done, total) == self._last:
            return
        self._last = (done, total)
        if self._told:
            self._told(done, total)
        elif self._shows and time.monotonic() >= self._begin:
            self._show(done, total)

    def close(self) -> None:
        if self._tqdm is not None:
            self._tqdm.close()
        elif self._wrote:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _show(self, done: int, total: int) -> None:
        if self._tqdm is None and not self._wrote:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]

                self._tqdm = tqdm(total=total, desc=self._name, leave=False)
            except ImportError:
                pass
        if self._tqdm is not None:
            self._tqdm.update(done - self._tqdm.n)
            return
        sys.stderr.write(f"\r{self._name}: {100 * done // total}%")
        sys.stderr.flush()
        self._wrote = True


def _is_watched() -> bool:
    if "ipykernel" in sys.modules:
        return True
    return sys.stderr is not None and sys.stderr.isatty()
