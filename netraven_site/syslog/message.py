"""What a syslog message says of its sender."""

from __future__ import annotations

import re
from typing import Final

#: What is not looked at any more; RFC 5424 section 6.1 asks for 2048 bytes at least.
LONGEST: Final = 8192
#: RFC 5424, then RFC 3164 with the times that devices add, then IOS with "logging origin-id".
_HOSTNAMES: Final = (
    re.compile(r"<\d{1,3}>1 \S{1,40} (?P<hostname>\S{1,255}) "),
    re.compile(
        r"<\d{1,3}>(?:\d{1,10}: )?[*.]?[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d"
        r"(?:\.\d{1,6})?(?: [A-Z]{3,5}:?)? (?P<hostname>[^\s:%]{1,255})"
    ),
    re.compile(r"<\d{1,3}>\d{1,10}: (?P<hostname>[^\s:%*.]{1,255}): "),
)


def hostname_in(text: str) -> str:
    """The name of the sender as the message has it, in lower case; empty where it has none."""
    for pattern in _HOSTNAMES:
        found = pattern.match(text)
        if found is not None:
            return found["hostname"].lower()
    return ""
