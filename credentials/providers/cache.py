"""Keeps what a provider gave for a moment, in the memory of this process only."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import nullcontext

from credentials.providers.errors import SecretUnavailable

_SIZE = 1000
#: A source that fails is not asked again by each of many threads.
_FAILURE_SECONDS = 5.0

_Values = dict[str, str]


class SecretCache:
    """Values by reference. Of threads that want the same one, one asks and the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = defaultdict(threading.Lock)
        #: Until when what was found counts: the values, or the message of a failure.
        self._known: OrderedDict[str, tuple[float, _Values | str]] = OrderedDict()

    def get(self, reference: str, seconds: float, ask: Callable[[], _Values]) -> _Values:
        """What ``ask`` gave for ``reference`` no longer than ``seconds`` ago.

        With 0 seconds every thread asks for itself, and nothing but a failure is kept. Raises
        SecretUnavailable, as ``ask`` does.
        """
        with self._turn(reference) if seconds > 0 else nullcontext():
            found = self._fresh(reference)
            if found is None:
                found = self._asked(reference, seconds, ask)
        if isinstance(found, str):
            raise SecretUnavailable(found)
        return found

    def _turn(self, reference: str) -> threading.Lock:
        with self._lock:
            return self._asking[reference]

    def _fresh(self, reference: str) -> _Values | str | None:
        with self._lock:
            until, found = self._known.get(reference, (0.0, None))
            return found if time.monotonic() < until else None

    def _asked(self, reference: str, seconds: float, ask: Callable[[], _Values]) -> _Values | str:
        found: _Values | str
        try:
            found = ask()
        except SecretUnavailable as error:
            found, seconds = str(error), _FAILURE_SECONDS
        if seconds <= 0:
            return found
        with self._lock:
            self._known[reference] = (time.monotonic() + seconds, found)
            while len(self._known) > _SIZE:
                oldest, _ = self._known.popitem(last=False)
                self._asking.pop(oldest, None)
        return found
