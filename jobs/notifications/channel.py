"""What a message is made of, and how its delivery went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backups.engine.errors import DeviceError, ErrorCategory

#: For a connection, and for each piece of an answer.
TIMEOUT_SECONDS = 10.0
#: For all of one delivery: who answers bit by bit must not keep a worker.
SEND_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A message as people and programs read it; redacted."""

    #: By which a receiver knows it again that comes twice.
    delivery_id: str
    subject: str
    text: str
    #: A unified diff; empty without one.
    diff: str = ""
    #: What a webhook gets.
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt went."""

    #: Why it failed, one line without secrets; empty for a message that was taken.
    error: str = ""
    #: Status of HTTP, where the channel knows one.
    status_code: int | None = None


def address_problem(error: DeviceError, host: str) -> str:
    """Why ``host`` is not connected to, in the words of this subject."""
    if error.category is ErrorCategory.ADDRESS_REFUSED:
        return (
            f"{host} is an address that no message is sent to; allow it with "
            "NETRAVEN_NOTIFICATION_NETWORKS"
        )
    return error.message
