"""Which claims this worker process is working on, for its heartbeat to renew or to call off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backups.engine.cancellation import Cancellation
from jobs.services.results import Claim, claims_gone

_lock = threading.Lock()
_held: dict[Claim, Cancellation] = {}


@contextmanager
def held(claim: Claim) -> Iterator[Cancellation]:
    """Have ``claim`` renewed while the block runs; gives what ends its session from outside."""
    cancellation = Cancellation()
    with _lock:
        _held[claim] = cancellation
    try:
        yield cancellation
    finally:
        with _lock:
            _held.pop(claim, None)


def held_now() -> frozenset[Claim]:
    """The claims that this process works on at this moment."""
    with _lock:
        return frozenset(_held)


def call_off_gone() -> None:
    """End the sessions whose claim is gone: their run was cancelled, or came to its end.

    Asks the database once, and not at all while nothing is held. A session that has ended by itself
    is left alone.
    """
    claims = held_now()
    if not claims:
        return
    gone = claims_gone(claims=claims)
    with _lock:
        sessions = [_held[claim] for claim in gone if claim in _held]
    for session in sessions:
        session.cancel()
