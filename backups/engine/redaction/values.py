"""Where the value behind a keyword begins and ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from inventory.platforms.definition import Vocabulary

#: Words that may stand between a keyword and its value.
MOST_ENCODINGS = 4

_QUOTED = {
    quote: re.compile(
        rf"{quote}([^{quote}\\\r\n]*(?:\\.[^{quote}\\\r\n]*)*){quote}(?=[\s;,:\]}})<>\\]|$)"
    )
    for quote in "\"'"
}
_RUN = re.compile(r"[^\s]+")
#: A run of signs that are neither quotes nor part of the line around a value.
_PLAIN = re.compile(r"[\w.:+/$!@%^&*()=~|#?-]++(?!\S)", re.ASCII)
_ESCAPED_QUOTE = '\\"'
# Nokia SR OS writes the encoding inside the quotes, Extreme SLX-OS an escaped line end.
_ENCODING_INSIDE = re.compile(r"[ \t]+(?:hash2?|custom|bcrypt|cleartext)$|\\n$")
_TAIL = ";,"
# How far in front of a value the brace is looked for that the one behind it closes.
_BRACE_REACH = 200
# Closes a text of JSON, as its next signs tell.
_CLOSING = re.compile(r'"(?=[\]}]|,"|:["{\[n]|[:,]?$)')
_NEAR = 80
#: A line that begins with a capital letter, maybe behind the sign of a message.
_SENTENCE = re.compile(r"[%#!*\s]{0,8}[A-Z]")


class Value(NamedTuple):
    """A piece of a line."""

    start: int
    end: int
    quoted: bool = False
    #: The marker in front of it that names how it is encoded (``$M$``), or empty.
    scheme: str = ""


class ValueReader:
    """Reads values with the vocabulary of redaction."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._encoding = re.compile(
            rf"(?P<word>{_any(vocabulary.encodings)})[ \t]+(?=[^\s;])", re.IGNORECASE
        )
        self._not_secret = re.compile(_any(vocabulary.not_secret))
        self._scheme = re.compile(_any(vocabulary.schemes), re.IGNORECASE)
        self._masked = re.compile(_any(vocabulary.masked), re.IGNORECASE)
        self._shape = re.compile(_any(vocabulary.shapes))
        self._resalted = re.compile(_any(vocabulary.resalted))

    def skip_encodings(self, line: str, position: int) -> tuple[int, str]:
        """Position behind the words that name an encoding, and the last of these words."""
        last = ""
        if _is_last_word(line, position):
            return position, last
        for _ in range(MOST_ENCODINGS):
            match = self._encoding.match(line, position)
            if match is None:
                break
            position, last = match.end(), match.group("word")
        return position, last

    def is_vocabulary(self, text: str) -> bool:
        """Whether ``text`` is a word of the command line or of plain English, not a value."""
        return self._not_secret.fullmatch(text) is not None

    def is_own_word(self, line: str, value: Value) -> bool:
        """Whether ``value`` begins with a word of the command line; in quotes, is made of them.

        A colon behind it counts where it ends a label, a full stop where it ends a sentence.
        """
        first, *others = line[value.start : value.end].split() or [""]
        if others and _is_in_quotes(line, value):
            return all(self.is_vocabulary(word.rstrip(".:,")) for word in (first, *others))
        end = value.start + len(first)
        is_label = first.endswith(":") and bool(line[end:].strip())
        in_sentence = first.endswith(".") and _SENTENCE.match(line, 0, end) is not None
        return self.is_vocabulary(first[:-1] if is_label or in_sentence else first)

    def is_masked(self, text: str) -> bool:
        """Whether the device or another program has put a mask in place of the secret."""
        return self._masked.fullmatch(text) is not None

    def is_resalted(self, encoding: str) -> bool:
        """Whether values of this encoding, or behind this marker, are encrypted anew each time."""
        return bool(encoding) and self._resalted.fullmatch(encoding) is not None

    def word(self, line: str, position: int) -> Value | None:
        """The word at ``position``, or the text between the quotes that begin there."""
        plain = _PLAIN.match(line, position)
        if plain is not None and not self._begins_marked(line, position):
            return Value(position, plain.end())
        value = self._word(line, position)
        return self.inner(line, value) if value else None

    def rest(self, line: str, position: int, end: int) -> Value | None:
        """Everything from ``position`` to ``end``, where the text of the line ends."""
        if end <= position:
            return None
        quoted = _quoted(line, position)
        if quoted is not None and quoted.end + 1 == end:
            return quoted
        return Value(position, end)

    def inner(self, line: str, value: Value) -> Value | None:
        """``value`` without the marks of its encoding, or None if nothing is left."""
        start, end, scheme = value.start, value.end, ""
        marker = self._scheme.match(line, start, end)
        if marker is not None and marker.end() < end:
            start, scheme = marker.end(), marker.group()
        if value.quoted:
            inside = _ENCODING_INSIDE.search(line[max(start, end - 16) : end])
            if inside is not None:
                end -= len(inside.group())
        return Value(start, end, value.quoted, scheme) if start < end else None

    def _begins_marked(self, line: str, position: int) -> bool:
        """Whether a value told by its form, or the marker of an encoding, is at ``position``."""
        return (
            self._shape.match(line, position) is not None
            or self._scheme.match(line, position) is not None
        )

    def _word(self, line: str, position: int) -> Value | None:
        opened = line[position : position + 1]
        inside = position + 1 if opened and opened in _QUOTED else position
        shape = self._shape.match(line, inside)
        if shape is not None:
            return Value(inside, shape.end(), quoted=True)
        if line.startswith(_ESCAPED_QUOTE, position):
            return _escaped(line, position + len(_ESCAPED_QUOTE))
        quoted = _quoted(line, position)
        if quoted is not None:
            return quoted
        run = _RUN.match(line, position)
        return _trimmed(line, run.start(), run.end()) if run else None


def _any(fragments: Sequence[str]) -> str:
    return "|".join(f"(?:{fragment})" for fragment in fragments)


def _is_last_word(line: str, position: int) -> bool:
    """Whether no blank follows; of a line that goes on for long nobody can tell at once."""
    return (
        len(line) - position <= _NEAR
        and line.find(" ", position) < 0
        and line.find("\t", position) < 0
    )


def _is_in_quotes(line: str, value: Value) -> bool:
    quote = line[value.start - 1 : value.start]
    return quote in {'"', "'"} and line[value.end : value.end + 1] == quote


def _quoted(line: str, position: int) -> Value | None:
    pattern = _QUOTED.get(line[position : position + 1])
    match = pattern.match(line, position) if pattern else None
    return Value(*match.span(1), quoted=True) if match else None


def _escaped(line: str, start: int) -> Value:
    end = line.find(_ESCAPED_QUOTE, start)
    return Value(start, end if end >= 0 else len(line.rstrip()), quoted=True)


def _text_end(line: str, start: int, end: int) -> int:
    """``end``, or where the text of JSON ends that has begun before ``start``."""
    closing = _CLOSING.search(line, start + 1, end)
    if closing is None or not line.count('"', 0, start) % 2:
        return end
    return closing.start()


def _trimmed(line: str, start: int, end: int) -> Value | None:
    """A run of characters without the signs at its end that belong to the line around it."""
    tag = line.find("</", start, end)
    if tag > start:
        end = tag
    end = _text_end(line, start, end)
    while end - start > 1 and line[end - 1] in _TAIL:
        end -= 1
    for quote in _QUOTED:
        if line[end - 1] == quote and line[start] != quote:
            end -= 2 if line[end - 2] == "\\" else 1
            if line.endswith(_ESCAPED_QUOTE, start + 1, end):
                end -= len(_ESCAPED_QUOTE)
            break
    while end - start > 1 and line[end - 1] in _TAIL:
        end -= 1
    end = _before_brace(line, start, end)
    return Value(start, end) if end > start else None


def _before_brace(line: str, start: int, end: int) -> int:
    """Where a run of characters ends if its last ones close a brace in front of it (YAML)."""
    if line[end - 1] != "}" or line.find("{", start, end) >= 0:
        return end
    near = max(0, start - _BRACE_REACH)
    if line.rfind("{", near, start) <= line.rfind("}", near, start):
        return end
    inner = start + len(line[start:end].rstrip("}"))
    return inner if inner > start else end
