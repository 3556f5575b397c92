"""What sending a message raises while the broker is down."""

from __future__ import annotations

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

#: The queue says it in Kombu's words, the counter of a chord and a result in those of Redis.
BROKER_DOWN = (OperationalError, RedisError)
