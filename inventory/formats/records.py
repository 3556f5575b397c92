"""What every reader of a file gives: devices, what is wrong, and what was left out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_MAX_QUOTED = 40
#: NUL, and halves of surrogate pairs: no text of PostgreSQL holds them.
_NO_CHARACTERS = re.compile("[\x00\ud800-\udfff]")


class FileUnreadable(Exception):
    """Nothing can be read from the file; ``problems`` has one line per reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a device is logged in to with. Its repr shows no secret."""

    username: str
    password: str = field(repr=False)
    enable_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One device as a file wants it; None leaves what is stored as it is."""

    #: Where it stands, for messages: ``line 3``.
    place: str
    hostname: str
    ip_address: str
    platform: str
    tags: tuple[str, ...] | None = None
    #: Names; empty takes away what is stored.
    zone: str | None = None
    credential: str | None = None
    jump_host: str | None = None
    #: Further fields of a device by name, with the values that they get.
    values: Mapping[str, Any] = field(default_factory=dict)
    login: Login | None = None


def no_text(record: DeviceRecord) -> str | None:
    """Which part of ``record`` no database could store as text; None if all could be."""
    return next((name for name, text in _texts(record) if _NO_CHARACTERS.search(text)), None)


def _texts(record: DeviceRecord) -> Iterator[tuple[str, str]]:
    for name in ("hostname", "ip_address", "platform", "zone", "credential", "jump_host"):
        yield name, getattr(record, name) or ""
    yield "tags", "".join(record.tags or ())
    yield from ((name, value) for name, value in record.values.items() if isinstance(value, str))
    if record.login is not None:
        login = record.login
        yield "its login", f"{login.username}{login.password}{login.enable_secret or ''}"


@dataclass(slots=True, kw_only=True)
class Reading:
    """What stands in a file."""

    records: list[DeviceRecord] = field(default_factory=list)
    #: One line for each entry that cannot be read, with its place and the reason.
    problems: list[str] = field(default_factory=list)
    #: One line for each entry that is no device to back up.
    left_out: list[str] = field(default_factory=list)
    #: What somebody should know who moves here.
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def quoted(value: object) -> str:
    """``value`` as it may stand in a message: short, and without control characters."""
    text = str(value)
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}…")


def port_number(text: str) -> int:
    """A TCP port; whether it is in range is for the model to say. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise ValueError(f"{quoted(text)} is no port; it is a number from 1 to 65535.")
    return int(text)


def yes_or_no(text: str) -> bool:
    """True or false. Raises ValueError."""
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{quoted(text)} is neither true nor false.")
    return word in _TRUE


def seconds(text: str) -> float | None:
    """A number of seconds; None for an empty text. Raises ValueError."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{quoted(text)} is no number of seconds.")
    return number


#: What the further fields of a device are made of; an empty text keeps what is stored unless the
#: field takes one.
PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "port": port_number,
    "description": str,
    "transport": str.lower,
    "is_active": yes_or_no,
    "legacy_algorithms": yes_or_no,
    "connect_timeout_seconds": seconds,
    "login_timeout_seconds": seconds,
    "command_timeout_seconds": seconds,
    "deadline_seconds": seconds,
}
MAY_BE_EMPTY: Final = frozenset({"description", *(one for one in PARSERS if "seconds" in one)})
