"""An event loop in a background thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_CALL_SECONDS = 30.0


class LoopThread:
    """Runs coroutines in a thread of its own; ``run`` may be called from any thread."""

    def __init__(self, name: str) -> None:
        """``name`` is that of the thread."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` gives. Raises what it raises, and TimeoutError after half a minute."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_CALL_SECONDS)

    def stop(self) -> None:
        """End the thread. What runs in the loop is to have been stopped before."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
