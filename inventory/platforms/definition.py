"""What NetRaven knows about a platform: values only, filled by the loader.

Every regular expression arrives compiled. Device text is hostile, so a pattern that is searched
in it has to be linear: no quantifier inside a quantified group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, ConfigDict, StringConstraints


def _compile_line(value: object) -> object:
    return re.compile(value, re.MULTILINE) if isinstance(value, str) else value


def _compile_any_case(value: object) -> object:
    return re.compile(value, re.IGNORECASE | re.MULTILINE) if isinstance(value, str) else value


#: Searched in whole texts; ``^`` and ``$`` stand for line ends.
LinePattern = Annotated[re.Pattern[str], BeforeValidator(_compile_line)]
#: Searched in one line without regard to case.
RulePattern = Annotated[re.Pattern[str], BeforeValidator(_compile_any_case)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
_LowerCase = Annotated[str, StringConstraints(min_length=2, pattern=r"^[^A-Z\n]+$")]

_STRICT = ConfigDict(extra="forbid")


class PrivilegedMode(StrEnum):
    """Whether the collector asks for the privileged mode (``enable``)."""

    NEVER = "never"
    IF_SECRET_GIVEN = "if_secret_given"  # noqa: S105 - a mode, not a secret
    REQUIRED = "required"


class Treatment(StrEnum):
    """What happens to a volatile line."""

    #: The line is left out.
    DROP = "drop"
    #: The groups of the pattern are replaced by a fixed word.
    MASK = "mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a collection and what its output is."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    command: NonEmpty
    #: What the output is, e.g. ``running-config`` or ``startup-config``.
    role: NonEmpty


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatileLine:
    """A line that differs between two reads of an unchanged device."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Matched from the start of a line.
    pattern: LinePattern
    treatment: Treatment


class Left(StrEnum):
    """What may stand in front of a word of a redaction rule."""

    #: The word stands alone: line start, blank, quote, bracket or separator in front.
    WORD = "word"
    #: A longer name may end in the word: ``ldap-login-password``, ``tacacsSecret``.
    ANY = "any"
    #: The word ends the name of an option with a leading dash: ``-tacacsSecret``.
    OPTION = "option"
    #: The word ends the name of an XML element: ``<wmi-password``.
    ELEMENT = "element"


class ValueKind(StrEnum):
    """How far the value of a redaction rule reaches."""

    #: One word, or the text between two quotes.
    WORD = "word"
    #: Everything up to the end of the line.
    REST = "rest"
    #: From the word of the rule itself on, as far as ``take`` matches.
    SHAPE = "shape"
    #: Nothing: what follows is no secret, and no later rule looks at it.
    KEEP = "keep"


class TokenKind(StrEnum):
    """How a secret is replaced."""

    #: By a keyed digest: the same secret gives the same token.
    KEYED = "keyed"
    #: By a constant, because the device prints the secret anew at each read.
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactionRule:
    """Where a secret stands.

    The engine visits each place where one of ``words`` occurs. The rule applies there if ``left``,
    ``then``, ``line``, ``within`` and ``outside`` agree; the value begins where ``then`` ended,
    after words that name an encoding (``7``, ``encrypted``, ``cipher``, ...).
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: NonEmpty
    #: Lower case; compared without regard to case if ``any_case``, else letter by letter.
    words: tuple[_LowerCase, ...]
    left: Left = Left.WORD
    any_case: bool = False
    #: What follows the word; None stands for blanks.
    then: RulePattern | None = None
    #: Where this matches at the value, the rule does not apply.
    unless: RulePattern | None = None
    #: Has to be found in the first ``LINE_HEAD`` characters of the line.
    line: RulePattern | None = None
    #: Has to be found in the headers of the sections around the line.
    within: RulePattern | None = None
    #: Must not be found in the headers of the sections around the line.
    outside: RulePattern | None = None
    value: ValueKind = ValueKind.WORD
    #: Matched at the value in place of ``value``; each of its groups is a secret.
    take: RulePattern | None = None
    token: TokenKind = TokenKind.KEYED
    #: The secret is replaced in other lines, too, if this is found in them.
    echo: RulePattern | None = None
    #: Words that name an encoding are skipped before the value.
    encodings: bool = True
    #: Words of the vocabulary (``policy``, ``minimum-length``, ...) are no secrets.
    vocabulary: bool = True
    #: The rule also applies in descriptions, comments and banners.
    prose: bool = False


#: Characters of a line that ``RedactionRule.line`` looks at, so that a hostile line stays cheap.
LINE_HEAD = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Words that redaction knows, whatever the platform."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Patterns of words between a keyword and its value that name the value's encoding.
    encodings: tuple[NonEmpty, ...]
    #: Patterns of whole words that follow a keyword without being its value.
    not_secret: tuple[NonEmpty, ...]
    #: Patterns of markers in front of a value that name its encoding and stay.
    schemes: tuple[NonEmpty, ...]
    #: Patterns of values that another program has already masked.
    masked: tuple[NonEmpty, ...]
    #: Patterns of values that may hold quotes and blanks without being quoted.
    shapes: tuple[NonEmpty, ...]
    #: Patterns that open free text; it reaches to the end of the line or of the quotes.
    prose: tuple[NonEmpty, ...]
    #: Values that are encrypted with a new salt each time the device prints them.
    resalted: tuple[NonEmpty, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFamily:
    """Rules that several platforms share, one file of ``rules/``."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: NonEmpty
    error_patterns: tuple[LinePattern, ...] = ()
    volatile: tuple[VolatileLine, ...] = ()
    redaction: tuple[RedactionRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDefinition:
    """Everything the engine needs to know about one platform."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Name of the platform in the inventory; also the name of its file.
    name: NonEmpty
    #: Name for people.
    title: NonEmpty
    #: Netmiko ``device_type``.
    driver: NonEmpty
    #: At least one; the first is the configuration itself.
    commands: tuple[Command, ...]
    #: Sent after log-in, before the commands; only what the driver does not send by itself.
    preparation: tuple[NonEmpty, ...] = ()
    privileged_mode: PrivilegedMode = PrivilegedMode.NEVER
    #: None leaves finding the prompt to the driver.
    prompt: LinePattern | None = None
    #: Sign that begins a comment in the configuration, or None.
    comment_prefix: NonEmpty | None = None
    #: One of them has to stand near the end of the configuration; empty where there is none.
    end_markers: tuple[LinePattern, ...] = ()
    #: What the command line prints instead of output.
    error_patterns: tuple[LinePattern, ...] = ()
    volatile: tuple[VolatileLine, ...] = ()
    #: Own rules first, then those of the families, in their order.
    redaction: tuple[RedactionRule, ...] = ()
