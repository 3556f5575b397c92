"""Where a command line gets the device's texts from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Texts(Protocol):
    """The texts of one device, by the name of the view."""

    @property
    def views(self) -> Iterable[str]:
        """Names of all views."""

    def read(self, view: str) -> bytes:
        """One read of a view, as bytes with CR LF; volatile parts differ at each read."""


def encode(text: str) -> bytes:
    """Text with `\\n` as a terminal gets it: UTF-8 with CR LF."""
    return text.replace("\n", "\r\n").encode("utf-8")
