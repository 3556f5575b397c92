"""What is found out about the platform of a device nobody has named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from inventory.platforms.definition import Fact


class Certainty(StrEnum):
    """How far a detected platform can be relied on. The values are part of the API."""

    #: The platform's own commands worked, and their output reads as its definition says.
    CONFIRMED = "confirmed"
    #: It looks like this platform, but nothing of its definition could be confirmed.
    LIKELY = "likely"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The answer to "what is this?"."""

    certainty: Certainty
    #: Name of a platform definition; None when it is unknown.
    platform: str | None
    #: How that was found out, one line per step.
    evidence: tuple[str, ...]
    facts: Mapping[Fact, str]
