"""What NetRaven knows about a platform: values only, filled by the loader.

Every regular expression arrives compiled. Device text is hostile, so a pattern that is searched
in it has to be linear: no quantifier inside a quantified group.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints


def _compile_line(value: object) -> object:
    return re.compile(value, re.MULTILINE) if isinstance(value, str) else value


def _compile_any_case(value: object) -> object:
    return re.compile(value, re.IGNORECASE | re.MULTILINE) if isinstance(value, str) else value


#: Searched in whole texts; ``^`` and ``$`` stand for line ends.
LinePattern = Annotated[re.Pattern[str], BeforeValidator(_compile_line)]
#: Searched in one line without regard to case.
RulePattern = Annotated[re.Pattern[str], BeforeValidator(_compile_any_case)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
#: One step of a person's work in plain words, on one line.
RestoreStep = Annotated[
    str, StringConstraints(min_length=1, max_length=600, pattern=r"^\S[^\x00-\x1f\x7f]*$")
]
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


class Role(StrEnum):
    """What the output of a command is. The values are part of the API."""

    #: The configuration itself; several outputs are joined in their order.
    RUNNING = "running-config"
    #: The saved configuration, compared with the running one and not stored.
    STARTUP = "startup-config"
    #: Model, serial number and software version are read from these two; neither is stored.
    VERSION = "version"
    INVENTORY = "inventory"
    #: Who changed the configuration last, where the configuration itself does not say it.
    HISTORY = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a collection and what its output is."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    command: NonEmpty
    role: Role
    #: Asked in this order, each if the device rejected the one before.
    fallback: tuple[NonEmpty, ...] = ()
    #: Whether some devices of the platform do not know the command; it is then left out.
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """The mark at which a device waits for a key before it prints on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Matched from the start of the last line, which the device has not ended. A group ``text``
    #: is what stands in front of the mark where pages end in the middle of a line.
    mark: LinePattern
    #: What asks for the next page.
    key: NonEmpty = " "


#: Marks that devices of many vendors print; a platform with another one names its own.
COMMON_PAGER = Pager(
    mark=re.compile(
        r"[ \t]*(?:-{2,} ?\(?more\b[^\n]{0,60}|<-+ ?more ?-+>[^\n]{0,40}|<more>|\(more\)"
        r"|more: <space>[^\n]{0,60}|press any key to continue[^\n]{0,60})[ \t]*$",
        re.IGNORECASE,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a device may ask between the log-in and its first prompt."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Searched in the last lines before the device fell silent.
    pattern: LinePattern
    #: What is sent; a line end is added.
    answer: str


class Fact(StrEnum):
    """What is kept about a device beside its configuration."""

    MODEL = "model"
    SERIAL_NUMBER = "serial_number"
    OS_VERSION = "os_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactPattern:
    """Where a fact stands. The first pattern of a fact that is found counts."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    fact: Fact
    #: Output that is searched.
    role: Role
    #: Its first group is the value.
    pattern: LinePattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where a device says who changed its configuration last, and when."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: Output that is searched, before volatile lines are left out of it.
    role: Role
    #: Has a group ``user``, a group ``time`` or both. The time is kept as the device writes it.
    pattern: LinePattern


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMessage:
    """A message that a device sends to its syslog server when its configuration was changed."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    #: A text that stands in each such message, and in few others.
    sign: Annotated[str, StringConstraints(min_length=6)]
    #: Has to be found in the message as well; a group ``user`` is who changed it.
    pattern: LinePattern


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
    #: The next lines, as far as ``take`` matches from their first sign on; at most two, since
    #: devices print a password once or twice.
    BELOW = "below"
    #: The lines of the section that this line opens, without those of sections inside it: each
    #: that ``take`` matches from its first sign on.
    SECTION = "section"


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
    #: For ``below``: lines in between that hold no secret, such as the name of the user.
    skip: int = 0
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
    #: In lower case; one of them stands in every line in which a pattern of ``prose`` is found.
    prose_signs: tuple[_LowerCase, ...]
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
    #: Other names of the platform in inventories, as Netmiko has them.
    aliases: tuple[NonEmpty, ...] = ()
    #: Netmiko ``device_type``.
    driver: NonEmpty
    #: Netmiko ``device_type`` over Telnet; None stands for the driver's own one, if there is one,
    #: and else for Netmiko's generic one.
    telnet_driver: NonEmpty | None = None
    #: At least one with the role ``running-config``; the others may fail without harm.
    commands: tuple[Command, ...]
    #: Whether Netmiko's driver prepares the session. Without it only ``preparation`` is sent, and
    #: none of Netmiko's fixed waits is waited: right where the driver would alter the device, and
    #: faster wherever the preparation is a list of commands.
    driver_prepares: bool = True
    #: Sent after log-in, before the commands; a device may reject them without harm.
    preparation: tuple[NonEmpty, ...] = ()
    #: Answered between log-in and first prompt.
    questions: tuple[Question, ...] = ()
    pager: Pager = COMMON_PAGER
    privileged_mode: PrivilegedMode = PrivilegedMode.NEVER
    #: None leaves finding the prompt to the driver.
    prompt: LinePattern | None = None
    #: Sign that begins a comment in the configuration, or None.
    comment_prefix: NonEmpty | None = None
    #: One of them has to stand near the end of the configuration; empty where there is none.
    end_markers: tuple[LinePattern, ...] = ()
    #: What the command line prints instead of output.
    error_patterns: tuple[LinePattern, ...] = ()
    #: Lines that no whole configuration holds, wherever they stand: parts that the account may not
    #: see, messages to all terminals. One of them makes the text suspect.
    never_in_config: tuple[LinePattern, ...] = ()
    volatile: tuple[VolatileLine, ...] = ()
    facts: tuple[FactPattern, ...] = ()
    attribution: tuple[Attribution, ...] = ()
    #: What the device tells a syslog server about changes.
    change_messages: tuple[ChangeMessage, ...] = ()
    #: Own rules first, then those of the families, in their order.
    redaction: tuple[RedactionRule, ...] = ()
    #: One sentence if reading the device alters it; empty for all others.
    changes_device: str = ""
    #: What an operator has to know, in one or two sentences.
    note: str = ""
    #: How the stored configuration gets onto an empty device, from the vendor's manuals; empty
    #: where nobody has written it down.
    restore: Annotated[tuple[RestoreStep, ...], Field(max_length=20)] = ()
