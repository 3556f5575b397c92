"""The dead man's switch: somebody else is told again and again that schedules are answered."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

from django.conf import settings

from jobs.models import Tick
from jobs.notifications.channel import Outcome
from jobs.notifications.http_call import http_call
from jobs.services.ticks import tick_take

EVERY = timedelta(seconds=60)
#: Whoever sets the address has the host anyway.
_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def is_time_to_ping() -> bool:
    """Whether the address is to be asked for, by the caller and nobody else."""
    if settings.NETRAVEN.heartbeat_url is None:
        return False
    return tick_take(tick=Tick.ASK_HEARTBEAT_URL, every=EVERY)


def ping() -> Outcome:
    """Ask for the address once; an error names its host only."""
    url = settings.NETRAVEN.heartbeat_url
    assert url is not None  # nobody asks without one
    return http_call(url=url.get_secret_value(), method="GET", headers={}, allowed=_ANYWHERE)
