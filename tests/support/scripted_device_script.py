"""The file ``CASE.session.toml``: what a device prints and asks. See ``tests/platforms/README.md``.

``load_script`` reads one; a key that it does not know is an error, so that a misspelt one cannot
pass for a device that does not page.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, StrictBool, StringConstraints, TypeAdapter, ValidationError

SUFFIX = ".session.toml"
#: Stands for the text of ``CASE.input.txt``, from the second log-in on for ``CASE.again.txt``.
INPUT = "@input"
#: Stands for the text of ``CASE.again.txt`` at any time.
AGAIN = "@again"
#: Stands for a part of the text of ``@input``: what is below the heading of the command, as
#: ``backups.engine.outputs`` sets it over each of several outputs, up to the next heading.
PART = "@part"

_STRICT = ConfigDict(extra="forbid")
_NonEmpty = Annotated[str, StringConstraints(min_length=1)]
_Count = Annotated[int, Field(ge=1, strict=True)]
_Key = Annotated[str, StringConstraints(min_length=1, max_length=1)]


class ScriptError(Exception):
    """A session file cannot be played; the message is one line: file, key and reason."""

    def __init__(self, path: Path, key: str, reason: str) -> None:
        where = f"{path.parent.name}/{path.name}"
        super().__init__(f"{where}: {key}: {reason}" if key else f"{where}: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the device asks between log-in and first prompt, until it gets the answer."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    ask: _NonEmpty
    answer: str
    #: Whether the device waits for Enter. Without it the answer is one key, and empty for any key.
    enter: StrictBool = True
    #: Whether what is typed is shown.
    echo: StrictBool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable:
    """The privileged mode."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    prompt: str
    command: _NonEmpty = "enable"
    #: Empty where the device asks for no password.
    password_prompt: str = ""
    #: Commands that get the answer ``unknown`` before.
    only_privileged: tuple[_NonEmpty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """Where the device stops. ``key`` shows the next page, Enter one line, ``q`` ends the text."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    lines: _Count
    mark: _NonEmpty
    #: Printed after the key.
    erase: str = ""
    #: Commands that switch the pager off for this session.
    off: tuple[_NonEmpty, ...] = ()
    key: _Key = " "


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What has to be found in the outputs; None is not asked for."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    model: str | None = None
    serial_number: str | None = None
    os_version: str | None = None
    changed_by: str | None = None
    changed_at: str | None = None
    unsaved: StrictBool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One device. Texts have ``\\n`` or ``\\r\\n`` at their line ends; both are sent as CR LF."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    prompt: _NonEmpty
    #: Answer to every other command.
    unknown: str
    #: What the device prints (or ``@input``, ``@again``, ``@part``), by the command as it is typed.
    commands: Mapping[_NonEmpty, str]
    #: SSH and Telnet let everybody in; the device asks for user and password in ``questions``.
    login_by_questions: StrictBool = False
    greeting: str = ""
    questions: tuple[Question, ...] = ()
    echo: StrictBool = True
    enable: Enable | None = None
    pager: Pager | None = None
    expect: Expect = Expect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A script together with the two reads of its configuration."""

    script: Script
    #: Text of the first and of every later read; empty where no command prints it.
    first_read: str = ""
    later_read: str = ""

    def text(self, command: str, *, first: bool) -> str | None:
        """What ``command`` prints, or None where the script does not have it.

        ``first`` says whether this is the first log-in on the device.
        """
        text = self.script.commands.get(command)
        read = self.first_read if first else self.later_read
        if text == PART:
            return self._parts(read)[command]
        if text == INPUT:
            return read
        return self.later_read if text == AGAIN else text

    def _parts(self, read: str) -> dict[str, str]:
        """What stands under each heading in ``read``, by its command."""
        commands = (command for command, text in self.script.commands.items() if text == PART)
        heading = re.compile(rf"^\S+ ({'|'.join(map(re.escape, commands))})\n", re.MULTILINE)
        pieces = heading.split(read)
        return dict(zip(pieces[1::2], pieces[2::2], strict=True))

    def headless(self) -> str | None:
        """The first command that wants its part of a text which lacks the heading, or None."""
        for command, text in self.script.commands.items():
            if text != PART:
                continue
            if any(command not in self._parts(read) for read in (self.first_read, self.later_read)):
                return command
        return None


_SCRIPT = TypeAdapter(Script)


def load_script(path: Path) -> Recording:
    """The device of a file ``CASE.session.toml``, with the texts that stand beside it.

    Raises ScriptError if the file or one of the texts cannot be used.
    """
    script = _validated(path, _table(path))
    _check_questions(path, script)
    _check_commands(path, script)
    if not {INPUT, AGAIN, PART} & set(script.commands.values()):
        return Recording(script=script)
    recording = Recording(
        script=script, first_read=_beside(path, "input"), later_read=_beside(path, "again")
    )
    headless = recording.headless()
    if headless is not None:
        reason = "a text beside this file has no line '# COMMAND' over its part"
        raise ScriptError(path, f"commands.{headless}", reason)
    return recording


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError(path, "", f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ScriptError(path, "", f"is no TOML in UTF-8: {error}") from error


def _validated(path: Path, table: Mapping[str, Any]) -> Script:
    try:
        return _SCRIPT.validate_python(table)
    except ValidationError as error:
        unknown = ("unexpected_keyword_argument", "extra_forbidden")
        # A misspelt key is the cause, the key that is missing for it only the effect.
        first = min(error.errors(), key=lambda entry: entry["type"] not in unknown)
        key = ".".join(str(part) for part in first["loc"])
        reason = "unknown key" if first["type"] in unknown else first["msg"]
        raise ScriptError(path, key, reason) from error


def _check_questions(path: Path, script: Script) -> None:
    for index, question in enumerate(script.questions):
        if not question.enter and len(question.answer) > 1:
            raise ScriptError(path, f"questions.{index}.answer", "is one key where enter is false")


def _check_commands(path: Path, script: Script) -> None:
    for command, text in script.commands.items():
        if text.startswith("@") and text not in (INPUT, AGAIN, PART):
            reason = f"{text!r} is none of {INPUT}, {AGAIN}, {PART}"
            raise ScriptError(path, f"commands.{command}", reason)
    for command in script.enable.only_privileged if script.enable else ():
        if command not in script.commands:
            raise ScriptError(path, "enable.only_privileged", f"[commands] lacks {command!r}")


def _beside(path: Path, part: str) -> str:
    file = path.with_name(f"{path.name.removesuffix(SUFFIX)}.{part}.txt")
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ScriptError(
            path, "commands", f"{file.name} cannot be read: {error.strerror}"
        ) from error
