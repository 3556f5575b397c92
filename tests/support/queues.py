"""Reading what was sent, from the broker itself."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def messages_taken(*queues: str) -> Counter[tuple[str, str]]:
    """Take all messages out of ``queues``: how often each task was in each queue."""
    from netraven_site.celery import app

    found: Counter[tuple[str, str]] = Counter()
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        for queue in queues:
            while (message := channel.client.lpop(queue)) is not None:
                found[json.loads(message)["headers"]["task"], queue] += 1
    return found
