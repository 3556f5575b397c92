"""Private keys and digests of passwords that no mark and no word of the rules stands around.

PuTTY's key files, keys as DER and of SSH in base64 without PEM, the numbers that ``openssl -text``
prints, and the lines of htdigest files. Most texts hold none of them, and each costs one search
then.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Container, Iterator, Sequence

from backups.engine.redaction.key_blocks import MOST_LINES, KeyBlock

_PUTTY = re.compile(
    r"^(?:Private-Lines:[ \t]*(?P<count>\d{1,3})|Encryption:[ \t]*(?P<encryption>\S+))[ \t\r]*$",
    re.M,
)
# How the DER of keys begins in base64: a SEQUENCE with the version of PKCS#1 and PKCS#8 (0), SEC 1
# (1) or PKCS#12 (3); the last one is PKCS#8 encrypted under a password (PBES2, PBES1).
_DER = re.compile(
    r"M(?<![A-Za-z0-9+/=]M)(?:"
    r"II[A-Za-z0-9+/]{2}[AQgw]IB(?:AAK[BC]|ADA[NMTQ]|AzC[BC])"
    r"|I[GH][A-Za-z0-9+/]AgE(?:AM[AB]|BB[A-Z])"
    r"|HcCAQEEI"
    r"|C4CAQAwBQYDK2V"
    r"|(?P<encrypted>II[A-Za-z0-9+/]{2}[DTjz][A-Za-z0-9+/]{2}BgkqhkiG9w0BB[QA])"
    r")[A-Za-z0-9+/]{20,}={0,2}"
)
# How a key of SSH's first vendor begins: four bytes that mark it, and its length in four more.
_SSH2_MARK = "P2/56wAA"
_SSH2 = re.compile(r"P2/56wAA[A-Za-z0-9+/]{20,}={0,2}")
_BASE64_LINE = re.compile(r"[ \t]*([A-Za-z0-9+/]{1,400}={0,2})[\"']?,?[ \t\r]*")
_AT_LINE_END = re.compile(r"[ \t\r]*$")
# All numbers of an RSA key follow its exponent; one of an elliptic curve has a single one.
_NUMBER = re.compile(
    r"^[ \t]*(?:privateExponent|prime[12]|exponent[12]|coefficient|priv):[ \t\r]*$", re.M
)
_NUMBER_LINE = re.compile(r"[ \t]+((?:[0-9A-Fa-f]{2}:){1,64}[0-9A-Fa-f]{0,2})[ \t\r]*")
_DIGEST = re.compile(r":([0-9a-f]{32})[ \t\r]*$", re.M)
_DIGEST_LINE = re.compile(r"[^:\s]{1,64}:[^:\n]{1,128}:[0-9a-f]{32}[ \t\r]*")


def bare_key_blocks(lines: Sequence[str], text: str, taken: Container[int]) -> list[KeyBlock]:
    """What stands in ``lines`` outside those of ``taken``; ``text`` is the joined lines."""
    found = [*_digests(lines, text)]
    if "Private-Lines:" in text:
        found += _putty(lines, text)
    if "privateExponent:" in text or "priv:" in text:
        found += _numbers(lines, text)
    known = {number for block in found for number, _, _ in block.pieces}
    found += _base64(_DER, _length_of_der, lines, text, known)
    if _SSH2_MARK in text:
        found += _base64(_SSH2, _length_of_ssh2, lines, text, known)
    return [block for block in found if not any(number in taken for number, _, _ in block.pieces)]


def _putty(lines: Sequence[str], text: str) -> Iterator[KeyBlock]:
    done = 0
    said = ""
    # What the file says of its encryption stands above its key.
    for number, _, match in _matches(_PUTTY, text):
        if match["encryption"]:
            said = match["encryption"]
        if number < done or not match["count"]:
            continue
        done = min(number + 1 + int(match["count"]), len(lines))
        pieces = [_whole(lines, inner) for inner in range(number + 1, done) if lines[inner].strip()]
        if pieces:
            yield KeyBlock(tuple(pieces), encrypted=said != "none")


def _numbers(lines: Sequence[str], text: str) -> Iterator[KeyBlock]:
    for number, _, _ in _matches(_NUMBER, text):
        pieces = _below(_NUMBER_LINE, lines, number)
        if pieces:
            yield KeyBlock(tuple(pieces), encrypted=False)


def _digests(lines: Sequence[str], text: str) -> Iterator[KeyBlock]:
    for number, column, match in _matches(_DIGEST, text):
        if _DIGEST_LINE.fullmatch(lines[number]):
            start = column + 1
            yield KeyBlock(((number, start, start + len(match[1])),), encrypted=False)


def _base64(
    begin: re.Pattern[str],
    length: Callable[[str], int],
    lines: Sequence[str],
    text: str,
    known: Container[int],
) -> Iterator[KeyBlock]:
    """Keys whose first characters are ``begin``; ``length`` tells how many bytes they say of."""
    done = -1
    for number, start, match in _matches(begin, text):
        if number < done or number in known:
            continue
        end = start + len(match.group())
        pieces = [(number, start, end)]
        missing = -(-length(match.group()) // 3) * 4 - len(match.group())
        if missing > 0 and _AT_LINE_END.match(lines[number], end):
            pieces += _below(_BASE64_LINE, lines, number, most=missing)
            done = pieces[-1][0] + 1
        yield KeyBlock(tuple(pieces), encrypted=match.groupdict().get("encrypted") is not None)


def _length_of_der(begin: str) -> int:
    """Bytes that the DER takes whose first ones are ``begin`` (X.690, 8.1.3)."""
    head = base64.b64decode(begin[:8])
    more = head[1] & 0x7F if head[1] & 0x80 else 0
    content = int.from_bytes(head[2 : 2 + more]) if more else head[1]
    return 2 + more + content


def _length_of_ssh2(begin: str) -> int:
    """Bytes that the key takes whose first ones are ``begin``; its length is the second number."""
    return int.from_bytes(base64.b64decode(begin[:12])[4:8])


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int, re.Match[str]]]:
    """The matches of ``pattern`` with line and column where each begins."""
    number = position = line_start = 0
    for match in pattern.finditer(text):
        start = match.start()
        breaks = text.count("\n", position, start)
        if breaks:
            number += breaks
            line_start = text.rindex("\n", position, start) + 1
        position = start
        yield number, start - line_start, match


def _below(
    pattern: re.Pattern[str], lines: Sequence[str], number: int, *, most: int | None = None
) -> list[tuple[int, int, int]]:
    """What ``pattern`` takes of the lines below ``number``, up to the first it does not match.

    No more than ``most`` characters, if given.
    """
    pieces: list[tuple[int, int, int]] = []
    for inner in range(number + 1, min(number + MOST_LINES, len(lines))):
        match = pattern.fullmatch(lines[inner]) if most is None or most > 0 else None
        if match is None:
            break
        pieces.append((inner, *match.span(1)))
        most = None if most is None else most - (match.end(1) - match.start(1))
    return pieces


def _whole(lines: Sequence[str], number: int) -> tuple[int, int, int]:
    line = lines[number]
    return number, len(line) - len(line.lstrip()), len(line.rstrip())
