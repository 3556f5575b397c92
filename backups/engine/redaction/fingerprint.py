"""What decides how a text is redacted, in one digest: equal ones make the same of the same text."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from inventory.platforms.definition import RedactionRule, Vocabulary

_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parents[2]
#: Folders whose code redacts. A test holds that it calls no other of the project.
CODE = (_HERE, _TOP / "inventory" / "platforms")


def fingerprint(
    rules: Sequence[RedactionRule], vocabulary: Vocabulary, keywords: Sequence[str]
) -> str:
    """SHA-256 in hex over these, and over the code that goes by them; the key is not in it."""
    digest = hashlib.sha256(_CODE)
    parts: tuple[RedactionRule | Vocabulary, ...] = (*rules, vocabulary)
    for part in parts:
        for name, value in _values(part):
            _add(digest, f"{name}={value}")
        _add(digest, "")
    for keyword in keywords:
        _add(digest, keyword)
    return digest.hexdigest()


def _values(part: RedactionRule | Vocabulary) -> Iterator[tuple[str, str]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        # What Python shows of a pattern is cut off after 200 characters.
        is_pattern = isinstance(value, re.Pattern)
        yield field.name, repr((value.pattern, value.flags) if is_pattern else value)


def _add(digest: hashlib._Hash, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    digest.update(len(data).to_bytes(8, "big") + data)


def _code() -> bytes:
    digest = hashlib.sha256()
    _add(digest, sys.version)
    _add(digest, version("ahocorasick-rs"))
    for path in sorted(path for folder in CODE for path in folder.glob("*.py")):
        _add(digest, path.relative_to(_TOP).as_posix())
        _add(digest, path.read_text(encoding="utf-8"))
    return digest.digest()


#: Read when the code itself is, so that a process that outlives an upgrade says what it runs.
_CODE = _code()
