"""What limits a session, and how much room a limit leaves; pure.

A limit is known by its key, which device results carry: ``zone:3``, ``tag:7``, ``jump_host:2``,
``credential:5``, ``run:12`` (the start ramp of a run), ``trial:12:5`` (the probation of credential
5 in run 12). A parked device stands in the line of one key; ``device:17`` is the line of those
whose device another run reads. ``log_in:12:5`` marks a session that may log in while on probation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum


class LimitKind(StrEnum):
    """What a key is about; the values stand in the database."""

    ZONE = "zone"
    TAG = "tag"
    JUMP_HOST = "jump_host"
    CREDENTIAL = "credential"
    RUN = "run"
    PROBATION = "trial"
    LOG_IN = "log_in"
    DEVICE = "device"


#: Limits that an operator sets on a thing of the inventory.
CAPPED_KINDS = (LimitKind.ZONE, LimitKind.TAG, LimitKind.JUMP_HOST, LimitKind.CREDENTIAL)


def limit_key(kind: LimitKind, *ids: int) -> str:
    """The key of the limit of this kind on the things with these ids."""
    return ":".join([kind.value, *map(str, ids)])


def parse_key(key: str) -> tuple[LimitKind, tuple[int, ...]]:
    """The kind and the ids that made ``key``."""
    kind, *ids = key.split(":")
    return LimitKind(kind), tuple(int(one) for one in ids)


def keys_of_kind(keys: Iterable[str], kind: LimitKind) -> list[str]:
    """Those of ``keys`` that are of this kind."""
    return [key for key in keys if key.startswith(f"{kind.value}:")]


def starts_due(*, rate: float, wait_seconds: float, horizon_seconds: float) -> int:
    """How many sessions a start ramp lets begin within the next ``horizon_seconds``.

    ``rate`` is in sessions per second; ``wait_seconds`` is how long until the next one may begin, 0
    or less if it may at once. What was not begun in the past is not made up for.
    """
    first = max(0.0, wait_seconds)
    if first > horizon_seconds:
        return 0
    return 1 + math.floor((horizon_seconds - first) * rate)


def start_slack_seconds(*, rate: float) -> float:
    """How early a session may begin: messages do not arrive to the millisecond."""
    return min(0.25, 0.5 / rate)
