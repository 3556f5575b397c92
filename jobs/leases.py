"""Which claims this worker process is working on, for its heartbeat to renew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.services.results import Claim

_lock = threading.Lock()
_held: set[Claim] = set()


@contextmanager
def held(claim: Claim) -> Iterator[None]:
    """Have ``claim`` renewed while the block runs."""
    with _lock:
        _held.add(claim)
    try:
        yield
    finally:
        with _lock:
            _held.discard(claim)


def held_now() -> frozenset[Claim]:
    """The claims that this process works on at this moment."""
    with _lock:
        return frozenset(_held)
