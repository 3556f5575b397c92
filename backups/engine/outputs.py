"""The outputs of one collection: which is which, and what of them is the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from backups.engine.normalise import clean_text
from backups.engine.types import Collection, CommandOutput
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Role

#: Begins the heading of an output where the platform has no sign for comments.
_HEADING_SIGN = "#"


def by_role(outputs: Sequence[CommandOutput], role: Role) -> tuple[CommandOutput, ...]:
    """The outputs with ``role``, in their order."""
    return tuple(output for output in outputs if output.role is role)


def running_payload(platform: PlatformDefinition, outputs: Sequence[CommandOutput]) -> bytes:
    """The bytes that are archived: the running-config as the device printed it.

    One output is given as it is. Of several, each stands behind a heading line with its command,
    as a comment of the platform; that line and the line end before it are all that is added.
    """
    running = by_role(outputs, Role.RUNNING)
    if len(running) == 1:
        return running[0].payload
    sign = platform.comment_prefix or _HEADING_SIGN
    joined = bytearray()
    for output in running:
        if joined and not joined.endswith(b"\n"):
            joined += b"\n"
        joined += f"{sign} {output.command}\n".encode() + output.payload
    return bytes(joined)


def running_text(platform: PlatformDefinition, collection: Collection) -> str:
    """``running_payload`` of ``collection`` as clean text, volatile lines still in it."""
    return output_text(platform, running_payload(platform, collection.outputs))


def output_text(platform: PlatformDefinition, payload: bytes) -> str:
    """``payload`` as clean text, without the erased marks of the platform's pager."""
    return clean_text(payload, pager=platform.pager)
