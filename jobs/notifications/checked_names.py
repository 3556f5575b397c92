"""Has the connections of a library go to addresses that were checked when they were made.

Apprise connects in many ways: Requests, smtplib, sockets of its own. What they have in common is
that they ask ``socket.getaddrinfo`` for addresses and connect to just these. So it is there that
addresses are checked, for the thread that asks to have it so; nobody else sees a difference. A name
server that changes its answer, and a service that redirects elsewhere, change nothing about that.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from backups.engine import reach
from backups.engine.errors import DeviceError

_getaddrinfo = socket.getaddrinfo


@dataclass(slots=True)
class Check:
    """Which addresses may be connected to, and what kept a name from having one."""

    allowed: Sequence[reach.Network]
    #: The last name that was refused or not found, and why; None as long as none was.
    failure: tuple[str, DeviceError] | None = None


_check: ContextVar[Check | None] = ContextVar("netraven_checked_names", default=None)


@contextmanager
def checked_names(*, allowed: Sequence[reach.Network]) -> Iterator[Check]:
    """Refuse names of this thread that stand for loopback, link-local and the like.

    ``allowed`` networks are let through. Who looks such a name up gets the OSError of a name that
    does not exist.
    """
    check = Check(allowed)
    token = _check.set(check)
    try:
        yield check
    finally:
        _check.reset(token)


def _looked_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
    check = _check.get()
    if check is None:
        return _getaddrinfo(host, port, *args, **kwargs)
    try:
        found = _getaddrinfo(host, port, *args, **kwargs)
        for *_, address in found:
            reach.check_literal(str(address[0]), allowed=check.allowed)
    except socket.gaierror:
        check.failure = (str(host), reach.unresolvable(str(host)))
        raise
    except DeviceError as error:
        check.failure = (str(host), error)
        raise socket.gaierror(socket.EAI_NONAME, "the address is refused") from None
    return found


socket.getaddrinfo = _looked_up
