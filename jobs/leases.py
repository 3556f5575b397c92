"""Which claims this worker process is working on, for its heartbeat to renew or to call off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backups.engine.cancellation import Cancellation
from jobs.services.claims import Claim
from jobs.services.results import claims_gone

#: How long the end of a worker waits for claims that are just being taken.
_TAKING_SECONDS = 2.0
_lock = threading.Condition()
_held: dict[Claim, Cancellation] = {}
_taking = 0
_closed = False


class WorkerEnds(Exception):
    """This process takes no more claims; the message is somebody else's."""


@contextmanager
def taking() -> Iterator[None]:
    """Around the taking of a claim and its ``hold``, so that ``close`` misses none.

    Raises WorkerEnds once the process is closed.
    """
    global _taking
    with _lock:
        if _closed:
            raise WorkerEnds
        _taking += 1
    try:
        yield
    finally:
        with _lock:
            _taking -= 1
            _lock.notify_all()


def close() -> frozenset[Claim]:
    """Let this process take no more claims, for ever; gives those that it holds."""
    global _closed
    with _lock:
        _closed = True
        _lock.wait_for(lambda: _taking == 0, _TAKING_SECONDS)
        return frozenset(_held)


def hold(claim: Claim) -> Cancellation:
    """Have ``claim`` renewed until ``release``; gives what ends its session from outside."""
    cancellation = Cancellation()
    with _lock:
        _held[claim] = cancellation
    return cancellation


def release(claim: Claim) -> None:
    """Renew ``claim`` no more."""
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
