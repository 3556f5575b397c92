"""How many messages wait in the broker. Asks Redis itself, with little patience."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis
from celery import current_app

_SECONDS = 2.0
#: Where Kombu keeps what workers have taken and not yet confirmed
#: (``kombu.transport.redis.Channel.unacked_key``).
_UNACKED = "unacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """What the broker said, or why it said nothing."""

    #: Messages by queue; empty while the broker is down.
    depths: dict[str, int]
    #: Messages that workers have taken and not yet confirmed; None while the broker is down.
    unacked: int | None
    #: Why there was no answer, one line without the address; empty when there was one.
    problem: str = ""

    @property
    def is_up(self) -> bool:
        return not self.problem


def broker_state(*, queues: Sequence[str]) -> BrokerState:
    """The depth of each of ``queues`` in one round trip; a broker that is down is an answer too."""
    client = redis.Redis.from_url(
        str(current_app.conf.broker_url),
        socket_connect_timeout=_SECONDS,
        socket_timeout=_SECONDS,
        retry=None,
    )
    try:
        with client.pipeline(transaction=False) as pipeline:
            for queue in queues:
                # NetRaven sends without priorities, which would have lists of their own.
                pipeline.llen(queue)
            pipeline.hlen(_UNACKED)
            *depths, unacked = pipeline.execute()
    except redis.RedisError as error:
        return BrokerState(depths={}, unacked=None, problem=_reason(error))
    finally:
        client.close()
    return BrokerState(depths=dict(zip(queues, depths, strict=True)), unacked=unacked)


def _reason(error: redis.RedisError) -> str:
    """In our words: those of the library quote the address, and that may hold a password."""
    if isinstance(error, redis.AuthenticationError):
        return "the broker refused the log-in; check REDIS_URL"
    if isinstance(error, redis.TimeoutError):
        return f"the broker did not answer within {_SECONDS:g} s"
    if isinstance(error, redis.ConnectionError):
        return "the broker cannot be reached; check that Redis runs, and REDIS_URL"
    return f"the broker answered with {type(error).__name__}"
