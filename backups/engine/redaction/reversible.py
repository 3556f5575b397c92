"""Forms of a secret that everybody can reverse.

They are undone only to give the same secret the same token; nothing keeps the result.
"""

from __future__ import annotations

import re

# The fixed key of Cisco's type 7 (published with every password recovery tool since 1997).
_TYPE7_KEY = b"dsfd;kfoA,.iyewrkldJKDHSUBsgvca69834ncxv9873254k;fg87"
_TYPE7 = re.compile(r"[01]\d(?:[0-9A-Fa-f]{2}){1,128}")

# Juniper $9$: the four families of letters, and how many letters of each are filler behind the
# first one (as in the CPAN module Crypt::Juniper).
_JUNIPER_FAMILIES = (
    "QzF3n6/9CAtpu0O",
    "B1IREhcSyrleKvMW8LXx",
    "7N-dVbwsY2g4oaJZGUDj",
    "iHkq.mPf5T",
)
_JUNIPER_LETTERS = "".join(_JUNIPER_FAMILIES)
_JUNIPER_ORDER = {letter: index for index, letter in enumerate(_JUNIPER_LETTERS)}
_JUNIPER_FILLER = {
    letter: 3 - index for index, family in enumerate(_JUNIPER_FAMILIES) for letter in family
}
_JUNIPER_WEIGHTS = (
    (1, 4, 32),
    (1, 16, 32),
    (1, 8, 32),
    (1, 64),
    (1, 32),
    (1, 4, 16, 128),
    (1, 32, 64),
)
_JUNIPER = re.compile(r"\$9\$[-./0-9A-Za-z]{4,512}")

_TYPE7_WORDS = frozenset({"7", "encrypted"})


def decode(secret: str, encoding: str) -> str:
    """The clear text of ``secret``, or ``secret`` itself where it is in no reversible form.

    ``encoding`` is the word that stood before it (``"7"``), or empty.
    """
    if encoding in _TYPE7_WORDS and _TYPE7.fullmatch(secret):
        return _type7(secret) or secret
    if _JUNIPER.fullmatch(secret):
        return _juniper(secret) or secret
    return secret


def _type7(secret: str) -> str | None:
    offset = int(secret[:2]) % len(_TYPE7_KEY)
    cipher = bytes.fromhex(secret[2:])
    pad = (_TYPE7_KEY * (2 + len(cipher) // len(_TYPE7_KEY)))[offset : offset + len(cipher)]
    clear = int.from_bytes(cipher) ^ int.from_bytes(pad)
    return _printable(clear.to_bytes(len(cipher)).decode("latin-1"))


def _juniper(secret: str) -> str | None:
    letters = secret[3:]
    previous = letters[0]
    position = 1 + _JUNIPER_FILLER[previous]
    clear: list[str] = []
    while position < len(letters):
        weights = _JUNIPER_WEIGHTS[len(clear) % len(_JUNIPER_WEIGHTS)]
        chunk = letters[position : position + len(weights)]
        if len(chunk) < len(weights):
            return None
        total = 0
        for letter, weight in zip(chunk, weights, strict=True):
            gap = (_JUNIPER_ORDER[letter] - _JUNIPER_ORDER[previous]) % len(_JUNIPER_LETTERS) - 1
            total += gap * weight
            previous = letter
        clear.append(chr(total % 256))
        position += len(weights)
    return _printable("".join(clear))


def _printable(clear: str) -> str | None:
    """``clear`` if it is a text that somebody can have typed, else None."""
    return clear if clear and clear.isascii() and clear.isprintable() else None
