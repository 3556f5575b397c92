"""Small readings and writings of plain texts that all apps need."""

from __future__ import annotations

#: 18 digits and fewer fit the ids of the database, which are PostgreSQL's bigint (up to 2^63 - 1).
_MOST_DIGITS = 18


def parsed_id(text: str) -> int | None:
    """The number that ``text`` is, as ids and pages are written; None if it is no such number."""
    is_id = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if is_id else None


def sentence(error: Exception) -> str:
    """What ``error`` says, with a large first letter and a full stop; the rest stays as it is."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
