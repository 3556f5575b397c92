"""The second pass: lines with a keyword and a value that no rule has judged."""

from __future__ import annotations

import re

from backups.engine.redaction.findings import LineFindings, covers
from backups.engine.redaction.tokens import TOKEN
from backups.engine.redaction.values import ValueReader

_SEPARATOR = re.compile(r"""["']?[ \t]*[=:]+[ \t]*|[ \t]+""")
_STRAY_QUOTES = re.compile(r"""(?:["']{1,2}[ \t]+){1,4}""")
_NAME_REST = re.compile(r"[\w.-]{0,64}")
_NAME_CHARACTER = re.compile(r"[\w.-]")
# Addresses, dates, times, versions, paths and sizes are no secrets, though they mix signs.
_PLAIN = re.compile(
    r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d+)?|\d+(?:[.:/-]\d+)*[A-Za-z%]{0,4}|[./~]\S*|\S+://\S*"
    r"|[A-Za-z]+[-_]?\d{1,4}"
)
_SHORTEST = 8
_BEHIND_EQUALS = re.compile(r"=[\w.-]{0,64}\Z")
# A value of JSON that is no text.
_LITERAL = re.compile(r"(?:true|false|null|\d{1,10})[,}\]]")


def holds_unknown_value(line: str, findings: LineFindings, reader: ValueReader) -> bool:
    """Whether a keyword of the second pass has a value behind it that is still in the clear."""
    return bool(findings.mentions) and any(
        _is_unknown(line, start, end, findings, reader)
        for start, end in findings.mentions
        if not covers(findings.prose or (), start, end) and not covers(findings.judged, start, end)
    )


def _is_unknown(
    line: str, start: int, end: int, findings: LineFindings, reader: ValueReader
) -> bool:
    name_end = _name_end(line, end)
    separator = _SEPARATOR.match(line, name_end)
    if separator is None:
        return False
    # The keyword is a value itself, or begins one: location=password-room.
    if not separator.group().strip() and _BEHIND_EQUALS.search(line, max(0, start - 66), start):
        return False
    if ":" in separator.group() and _LITERAL.match(line, separator.end()):
        return False
    position, _ = reader.skip_encodings(line, separator.end())
    value = reader.word(line, _behind_stray_quotes(line, position, reader))
    if value is None or findings.in_secret(value.start):
        return False
    text = line[value.start : value.end]
    if TOKEN.search(text) or reader.is_masked(text) or reader.is_own_word(line, value):
        return False
    if reader.is_vocabulary(line[end:name_end].strip("-_.").lower()):
        return False
    alone = name_end == end and not (start and _NAME_CHARACTER.match(line[start - 1]))
    if alone and line[start:end].islower():
        return any(character.isalnum() for character in text)
    return _looks_secret(text)


def _behind_stray_quotes(line: str, position: int, reader: ValueReader) -> int:
    """``position``, or where the next word begins if nothing but quotes stands there."""
    stray = _STRAY_QUOTES.match(line, position)
    if stray is None or line[position - 1] not in " \t":
        return position
    value = reader.word(line, position)
    is_quote = value is None or not line[value.start : value.end].strip("\"'")
    return stray.end() if is_quote else position


def _name_end(line: str, end: int) -> int:
    match = _NAME_REST.match(line, end)
    return match.end() if match else end


def _looks_secret(text: str) -> bool:
    """Whether a word is made like a password or a digest, not like a word of a language."""
    if len(text) < _SHORTEST or _PLAIN.fullmatch(text):
        return False
    digits = sum(character.isdigit() for character in text)
    letters = sum(character.isalpha() for character in text)
    signs = len(text) - digits - letters - sum(text.count(sign) for sign in "-_.,:")
    return (digits > 0 and letters > 0) or signs > 0
