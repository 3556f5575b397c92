"""Takes the secrets out of configurations and messages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.redaction.bare_keys import bare_key_blocks
from backups.engine.redaction.disguises import readings, without_bad_heads
from backups.engine.redaction.findings import Findings, LineFindings
from backups.engine.redaction.fingerprint import fingerprint
from backups.engine.redaction.key_blocks import KeyBlock, key_blocks
from backups.engine.redaction.leftovers import holds_unknown_value
from backups.engine.redaction.matcher import Matcher
from backups.engine.redaction.secret_files import secret_file_blocks
from backups.engine.redaction.spacing import single_spaced, without_names
from backups.engine.redaction.tokens import CONSTANT_TOKEN, REDACTED_LINE, TOKEN, TokenMaker
from backups.engine.redaction.values import ValueReader
from backups.engine.types import RedactedConfig
from inventory.platforms import all_redaction_rules, redaction_vocabulary
from inventory.platforms.definition import PlatformDefinition, RedactionRule

#: Names under which ``RedactedConfig.replaced`` counts what no rule of a platform replaced.
KEY_BLOCK_RULE = "private-key-block"
SECOND_PASS_RULE = "unrecognised-line"  # noqa: S105 - the name of a rule
DEFAULT_KEYWORDS = ("password", "secret")

#: How often the disguised lines of a text are read, each time with the tokens of the time before.
MOST_ROUNDS = 4

_T = TypeVar("_T")


class Redactor:
    """Redacts for one installation. Safe to share between threads."""

    def __init__(self, key: bytes, keywords: Sequence[str] = DEFAULT_KEYWORDS) -> None:
        """``key`` makes the tokens, ``keywords`` are those of the second pass.

        Raises ValueError if the key or a keyword is empty.
        """
        self._tokens = TokenMaker(key)
        if not all(keyword.strip() for keyword in keywords):
            raise ValueError("A keyword of redaction is empty; name words such as 'password'.")
        self._keywords = tuple(keywords)
        self._matchers: dict[str, tuple[tuple[RedactionRule, ...], Matcher]] = {}
        self._fingerprints: dict[str, tuple[tuple[RedactionRule, ...], str]] = {}

    def __repr__(self) -> str:
        return f"Redactor(keywords={self._keywords!r})"

    def redact(self, platform: PlatformDefinition | None, text: str) -> RedactedConfig:
        """``text`` without secrets; lines, line ends and everything else as they were.

        ``platform`` None stands for an unknown one: the rules of all platforms apply.

        Raises DeviceError (``redaction_failure``) if anything goes wrong, without a word of
        ``text`` in its message: what cannot be redacted is not given out.
        """
        return _closed(lambda: self._redact(platform, text))

    def redact_message(self, text: str, secrets: Sequence[str] = ()) -> str:
        """A log line, error message or transcript without secrets.

        ``secrets`` are values that must not be in it in any case; their plain, quoted, escaped and
        URL-encoded forms are replaced wherever they stand. Raises DeviceError like ``redact``.
        """
        return _closed(lambda: self._redact(None, self._without(text, secrets)).text)

    def fingerprint(self, platform: PlatformDefinition | None) -> str:
        """What decides how ``redact`` reads a text of ``platform``, as 64 hex digits.

        While it stays the same, under the same key, the same text gives the same redacted text.
        """
        name = platform.name if platform else ""
        rules = platform.redaction if platform else all_redaction_rules()
        known = self._fingerprints.get(name)
        if known is not None and known[0] is rules:
            return known[1]
        made = fingerprint(rules, redaction_vocabulary(), self._keywords)
        self._fingerprints[name] = (rules, made)
        return made

    def _redact(self, platform: PlatformDefinition | None, text: str) -> RedactedConfig:
        lines = text.split("\n")
        replaced: Counter[str] = Counter()
        blocks = key_blocks(lines, text)
        taken = {number for block in blocks for number, _, _ in block.pieces}
        blocks += bare_key_blocks(lines, text, taken)
        blocks += secret_file_blocks(lines, text)
        if blocks:
            self._replace_blocks(lines, blocks, replaced)
            text = "\n".join(lines)
        matcher = self._matcher(platform)
        tokens = _Tokens(self._tokens)
        numbers: frozenset[int] | None = None
        for _ in range(MOST_ROUNDS):
            found, disguised = _findings(matcher, lines, text, numbers)
            changed: set[int] = set()
            for number, findings in found.lines.items():
                line = _redacted(lines[number], findings, matcher.reader, tokens, replaced)
                if line != lines[number]:
                    lines[number] = line
                    changed.add(number)
            # A token joins what a disguise has held apart, so that such a line reads otherwise.
            numbers = frozenset(disguised & changed)
            if not numbers:
                break
            text = "\n".join(lines)
        return RedactedConfig(text="\n".join(lines), replaced=dict(sorted(replaced.items())))

    def _matcher(self, platform: PlatformDefinition | None) -> Matcher:
        name = platform.name if platform else ""
        # The rules change when an operator's file does.
        rules = platform.redaction if platform else all_redaction_rules()
        known = self._matchers.get(name)
        if known is not None and known[0] is rules:
            return known[1]
        matcher = Matcher(rules, redaction_vocabulary(), self._keywords)
        self._matchers[name] = (rules, matcher)
        return matcher

    def _replace_blocks(
        self, lines: list[str], blocks: Sequence[KeyBlock], replaced: Counter[str]
    ) -> None:
        # Blocks may lie inside others; the first one that has a piece decides.
        by_line: dict[int, dict[int, tuple[int, str]]] = {}
        for block in blocks:
            material = "\n".join(lines[number][start:end] for number, start, end in block.pieces)
            token = CONSTANT_TOKEN if block.encrypted else self._tokens.keyed(material)
            for number, start, end in block.pieces:
                if not TOKEN.fullmatch(lines[number], start, end):
                    by_line.setdefault(number, {}).setdefault(start, (end, token))
        for number, pieces in by_line.items():
            lines[number] = _with_tokens(lines[number], pieces)
            replaced[KEY_BLOCK_RULE] += 1

    def _without(self, text: str, secrets: Sequence[str]) -> str:
        """``text`` with the given values replaced, the longest first."""
        values = {line.strip() for secret in secrets for line in (secret, *secret.splitlines())}
        for value in sorted(filter(None, values), key=len, reverse=True):
            token = self._tokens.keyed(value)
            for form in _forms(value):
                if form in text:
                    text = re.sub(_standing(form), token, text)
        return text


class _Tokens(dict[tuple[str, str], str]):
    """The tokens of one text, by secret and encoding; many a secret stands in several lines."""

    def __init__(self, maker: TokenMaker) -> None:
        super().__init__()
        self._maker = maker

    def __missing__(self, secret: tuple[str, str]) -> str:
        token = self[secret] = self._maker.keyed(*secret)
        return token


def _redacted(
    line: str, findings: LineFindings, reader: ValueReader, tokens: _Tokens, replaced: Counter[str]
) -> str:
    if _takes_out(line, findings, reader):
        replaced[SECOND_PASS_RULE] += 1
        return _blanked(line)
    pieces: list[str] = []
    position = 0
    for start, end, rule, encoding, constant in findings.secrets:
        token = CONSTANT_TOKEN if constant else tokens[line[start:end], encoding]
        pieces += (line[position:start], token)
        position = end
        replaced[rule] += 1
    pieces.append(line[position:])
    return "".join(pieces)


def _forms(value: str) -> set[str]:
    """How a value may be written in a message."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return {value, escaped, repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")}


def _standing(form: str) -> str:
    """Pattern of ``form``; a very short one counts only where it stands alone."""
    pattern = re.escape(form)
    return pattern if len(form) >= 4 else rf"(?<!\w){pattern}(?!\w)"


def _findings(
    matcher: Matcher, lines: list[str], text: str, numbers: frozenset[int] | None
) -> tuple[Findings, set[int]]:
    """What the rules find in ``lines``, as they are written and as they read undisguised.

    The second part is the numbers of the disguised lines. ``numbers`` are those of the lines that
    are looked at, None for all.
    """
    plain = without_names(*without_bad_heads(lines, text))
    findings = _single_spaced_findings(matcher, *plain, numbers)
    disguised: set[int] = set()
    for reading in readings(lines, text):
        disguised |= reading.numbers
        read_here = reading.numbers if numbers is None else reading.numbers & numbers
        found = _single_spaced_findings(matcher, reading.lines, reading.text, read_here)
        for number, line_findings in found.lines.items():
            for secret in line_findings.secrets:
                start, end = reading.span(lines[number], number, secret.start, secret.end)
                findings.merge(number, secret._replace(start=start, end=end))
            if _takes_out(reading.lines[number], line_findings, matcher.reader):
                findings.take_out(number)
    return findings, disguised


def _single_spaced_findings(
    matcher: Matcher, lines: Sequence[str], text: str, numbers: Container[int] | None = None
) -> Findings:
    """What the rules find in ``lines``, read with single blanks between words."""
    spaced = single_spaced(lines)
    if spaced is None:
        return matcher.findings(lines, text, numbers)
    findings = matcher.findings(spaced.lines, spaced.text, numbers)
    for number in spaced.numbers & findings.lines.keys():
        found = findings.lines[number]
        if _takes_out(spaced.lines[number], found, matcher.reader):
            findings.take_out(number)
            continue
        moved = findings.lines[number] = LineFindings()
        for secret in found.secrets:
            start, end = spaced.span(lines[number], number, secret.start, secret.end)
            moved.add(secret._replace(start=start, end=end))
    return findings


def _takes_out(line: str, findings: LineFindings, reader: ValueReader) -> bool:
    """Whether ``line`` holds what nobody can judge, or what no rule has judged."""
    return findings.overfull or holds_unknown_value(line, findings, reader)


def _with_tokens(line: str, tokens: Mapping[int, tuple[int, str]]) -> str:
    """``line`` with the ``tokens``, (end, token) by start; what lies inside another is left out."""
    pieces: list[str] = []
    position = 0
    for start, (end, token) in sorted(tokens.items()):
        if start >= position:
            pieces += [line[position:start], token]
            position = end
    return "".join([*pieces, line[position:]])


def _blanked(line: str) -> str:
    """The mark of the second pass, with the blanks and the line end of ``line``."""
    indent = line[: len(line) - len(line.lstrip())]
    return indent + REDACTED_LINE + ("\r" if line.endswith("\r") else "")


def _closed(work: Callable[[], _T]) -> _T:
    """The result of ``work``; whatever goes wrong becomes a message without content."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - any failure has to keep the text from getting out
        raise DeviceError(
            ErrorCategory.REDACTION_FAILURE,
            f"Redaction failed ({type(error).__name__}), so nothing was stored or shown; "
            "report it together with the platform's name.",
        ) from None
