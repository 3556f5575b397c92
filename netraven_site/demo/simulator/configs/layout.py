"""What the renderers of all platforms have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

CLOCK = "\x02clock\x03"
"""Stands where the device prints a time that differs at each read."""
DRIFT = "\x02drift\x03"
"""Stands where the device prints a measured number (four digits) that differs at each read."""

MAIN = "running"
"""The view that the platform's usual backup command prints; its length is the chosen one."""


@dataclass(frozen=True, slots=True)
class Filler:
    """How much is added to reach a length: packet filters, and one-line static routes."""

    filters: int = 0
    routes: int = 0


Views = Mapping[str, list[str]]
"""Lines of each printable text, by name; `MAIN` is always there."""


class Renderer(Protocol):
    """Turns a state into the views of one platform; the same input gives the same text."""

    def __call__(self, state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
        """Render; one more route makes `MAIN` one line longer, filters are equally long."""


def indent(lines: Iterable[str], depth: int = 1) -> list[str]:
    """The lines moved right by `depth` blanks."""
    return [" " * depth + line for line in lines]


def certificate_lines(name: str, count: int = 8) -> list[str]:
    """Hexadecimal lines as IOS prints a certificate; public, belongs to no key."""
    digits = "".join(hashlib.sha512(f"{name}/{i}".encode()).hexdigest() for i in range(count))
    words = [digits[start : start + 8].upper() for start in range(0, count * 64, 8)]
    return [" ".join(words[start : start + 8]) for start in range(0, len(words), 8)]
