"""The outputs of one collection: which is which, and what of them is the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from backups.engine.normalise import clean_text, normalise_text
from backups.engine.types import CommandOutput
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


def running_content(platform: PlatformDefinition, outputs: Sequence[CommandOutput]) -> str:
    """``running_payload`` as clean text, without what changes by itself."""
    return output_content(platform, _running_output(platform, outputs))


def _running_output(
    platform: PlatformDefinition, outputs: Sequence[CommandOutput]
) -> CommandOutput:
    """The running-config as one output."""
    running = by_role(outputs, Role.RUNNING)
    if len(running) == 1:
        return running[0]
    payload = running_payload(platform, outputs)
    return CommandOutput(command="", payload=payload)


def output_text(platform: PlatformDefinition, output: CommandOutput) -> str:
    """``output`` as clean text, without the erased marks of the platform's pager.

    Made once, as ``output_content`` is: a backup asks for it many times.
    """
    text = output.texts.get(platform.pager)
    if text is None:
        text = output.texts[platform.pager] = clean_text(output.payload, pager=platform.pager)
    return text


def output_content(platform: PlatformDefinition, output: CommandOutput) -> str:
    """``output_text`` without what changes by itself on the platform."""
    key = (platform.pager, platform.volatile)
    text = output.texts.get(key)
    if text is None:
        text = output.texts[key] = normalise_text(platform, output_text(platform, output))
    return text
