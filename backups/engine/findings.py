"""What the outputs of a session say beside the configuration itself.

The text is hostile: every value that comes out of here is one bounded line without control
characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backups.engine.completeness import answer_of, suspicions
from backups.engine.normalise import clean_text
from backups.engine.outputs import by_role, output_content, output_text
from backups.engine.types import CommandOutput
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Attribution, Fact, FactPattern, Role

#: Characters of a value that are kept.
VALUE_LENGTH = 100
#: Characters of a line that are searched.
LINE_LENGTH = 500

#: Two blank lines in a row, and lines that end in blanks.
_BLANKS = ("\n\n\n", " \n", "\t\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAttribution:
    """Who changed the configuration last, as the device itself says."""

    #: Empty where the device names nobody.
    user: str
    #: As the device writes it; empty where it gives none.
    time: str


def facts(platform: PlatformDefinition, outputs: Sequence[CommandOutput]) -> dict[Fact, str]:
    """What ``outputs`` tell about the device; a fact that is not found is left out.

    Of the patterns of a fact, the first that finds a value counts.
    """
    found: dict[Fact, str] = {}
    for pattern in platform.facts:
        if pattern.fact in found:
            continue
        value = _value(platform, pattern, outputs)
        if value:
            found[pattern.fact] = value
    return found


def attribution(
    platform: PlatformDefinition, outputs: Sequence[CommandOutput]
) -> FoundAttribution | None:
    """Who changed the configuration last, and when; None where ``outputs`` do not say it.

    The entries of the platform are tried in their order; the first that finds something counts,
    so that a name and a time always come from the same place.
    """
    for entry in platform.attribution:
        for match in _matches(platform, entry, outputs):
            groups = match.groupdict()
            user, time = _plain(groups.get("user")), _plain(groups.get("time"))
            if user or time:
                return FoundAttribution(user=user, time=time)
    return None


def unsaved(platform: PlatformDefinition, outputs: Sequence[CommandOutput]) -> bool | None:
    """Whether the running-config differs from the saved one, once volatile lines are out.

    None where that is not known: no startup-config was read, or it is empty, cut off or an error
    message. A platform with several running-config commands is compared by as many of them, in
    their order, as it has commands for the startup-config. That the running-config as a whole is
    to be trusted is known before.
    """
    saved, running = by_role(outputs, Role.STARTUP), by_role(outputs, Role.RUNNING)
    pairs = list(zip(saved, running, strict=False))
    differ = any(
        output_content(platform, one) != output_content(platform, other) for one, other in pairs
    )
    # Of two that are alike, one has to be looked at. One of several was not looked at by itself.
    unseen = () if len(running) == 1 else running[: len(pairs)]
    looked_at = [*unseen, *(saved if differ else [])]
    if not pairs or any(suspicions(platform, [answer_of(platform, one)]) for one in looked_at):
        return None
    return differ


def _value(
    platform: PlatformDefinition, pattern: FactPattern, outputs: Sequence[CommandOutput]
) -> str:
    values = (_plain(match[1]) for match in _matches(platform, pattern, outputs))
    return next(filter(None, values), "")


def _matches(
    platform: PlatformDefinition,
    entry: FactPattern | Attribution,
    outputs: Sequence[CommandOutput],
) -> Iterator[re.Match[str]]:
    """The first place in each output at which ``entry`` is found."""
    for output in by_role(outputs, entry.role):
        match = entry.pattern.search(_searchable(output_text(platform, output)))
        if match is not None:
            yield match


def _searchable(text: str) -> str:
    """``text`` with short lines and single blank ones.

    Many patterns begin with ``^\\s*``, which reaches over blank lines: a run of them costs the
    square of its length (measured: 0.4 s and more for 20 000).
    """
    lines = text.split("\n")
    if _is_searchable(text, lines):
        return text
    kept: list[str] = []
    for line in lines:
        head = line[:LINE_LENGTH].rstrip()
        if head or (kept and kept[-1]):
            kept.append(head)
    return "\n".join(kept)


def _is_searchable(text: str, lines: Sequence[str]) -> bool:
    """Whether ``_searchable`` would change nothing that ``clean_text`` leaves, told at a glance."""
    return (
        text.isascii()
        and not any(blanks in text for blanks in _BLANKS)
        and max(map(len, lines)) <= LINE_LENGTH
    )


def _plain(value: str | None) -> str:
    """``value`` as one bounded line; empty for None."""
    if value is None:
        return ""
    line = " ".join(clean_text(value.encode("utf-8", "backslashreplace")).split())
    return line[:VALUE_LENGTH].rstrip()
