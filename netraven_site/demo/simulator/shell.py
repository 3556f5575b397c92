"""Understands one typed line and says what the device answers; knows nothing of SSH."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from netraven_site.demo.simulator.dialect import Dialect
from netraven_site.demo.simulator.posix import PosixCommands
from netraven_site.demo.simulator.texts import Texts, encode

_FILTERS = {"include": True, "match": True, "grep": True, "exclude": False, "except": False}
"""Words behind a `|`: does the filter keep the lines that match?"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows the echo of a command; the prompt comes after it unless `closes`."""

    output: bytes = b""
    is_configuration: bool = False
    paged: bool = True
    closes: bool = False
    asks_password: bool = False
    unknown: bool = False


class Shell:
    """The state of one login: mode and pager.

    Args:
        dialect: the platform's command line.
        texts: the device's texts.
        hostname: stands in the prompt.
        username: stands in the prompt of some platforms.
        enable_secret: password of the privileged mode, None to start in it.
    """

    def __init__(
        self,
        dialect: Dialect,
        texts: Texts,
        *,
        hostname: str,
        username: str,
        enable_secret: str | None,
    ) -> None:
        self._dialect = dialect
        self._texts = texts
        self._posix = PosixCommands(texts, lambda line: self._complaint(dialect.unknown, line))
        home = "/root" if username == "root" else f"/home/{username}"
        self._names = {"host": hostname, "user": username, "home": home}
        self._enable_secret = enable_secret
        self._wrong_passwords = 0
        self._entered_privileged = False
        self.paging = dialect.has_pager
        self.privileged = _starts_privileged(dialect, username, enable_secret)

    @property
    def prompt(self) -> bytes:
        """The prompt of the present mode."""
        dialect = self._dialect
        template = dialect.privileged_prompt if self.privileged else dialect.prompt
        return encode(template.format(**self._names))

    @property
    def greeting(self) -> bytes:
        """What is printed after the log-in, before the first prompt."""
        return encode(self._dialect.greeting)

    @property
    def password_prompt(self) -> bytes:
        """The question for the secret of the privileged mode."""
        return encode(self._dialect.secret_prompt.format(**self._names))

    def run(self, line: str) -> Answer:
        """Carry out one typed line."""
        words = line.split()
        if not words:
            return Answer()
        command, *pipes = (part.strip() for part in " ".join(words).split(" | "))
        for attempt in (self._mode_command, self._setting, self._printed):
            answer = attempt(command, pipes)
            if answer is not None:
                return answer
        return self._unknown(line)

    def try_password(self, typed: str) -> Answer:
        """The answer to the question for the secret; three wrong ones are refused for good."""
        if typed == self._enable_secret:
            return self._enter_privileged()
        self._wrong_passwords += 1
        if self._wrong_passwords < 3:
            return Answer(asks_password=True)
        self._wrong_passwords = 0
        return Answer(encode(self._dialect.denied))

    def rejection(self, line: str) -> bytes:
        """The platform's error text for a line."""
        return self._unknown(line).output

    def _mode_command(self, command: str, _pipes: list[str]) -> Answer | None:
        dialect = self._dialect
        if dialect.enable and _means(command, dialect.enable, dialect.abbreviations):
            if self.privileged:
                return Answer()
            if self._enable_secret is None:
                return self._enter_privileged()
            return Answer(asks_password=True)
        leaves_login = command in dialect.exits
        if command == dialect.disable and (self._entered_privileged or not leaves_login):
            self.privileged = self._entered_privileged = False
            return Answer(b"exit\r\n" if leaves_login else b"")
        return Answer(closes=True) if leaves_login else None

    def _enter_privileged(self) -> Answer:
        self._wrong_passwords = 0
        self.privileged = self._entered_privileged = True
        return Answer()

    def _setting(self, command: str, _pipes: list[str]) -> Answer | None:
        for setting in self._dialect.settings:
            match = setting.pattern.fullmatch(command)
            if match is None:
                continue
            if setting.pages:
                self.paging = int(match.group(1)) > 0
            return Answer(encode(setting.reply.format(*match.groups())))
        return None

    def _printed(self, command: str, pipes: list[str]) -> Answer | None:
        if self._dialect.platform == "linux":
            output = self._posix.run(command)
            return None if output is None else _filtered(output, pipes, is_configuration=True)
        full = self._full_command(command)
        if full is None:
            return None
        view = self._dialect.commands[full]
        if view == "version":
            return _filtered(self._texts.read(view), pipes, is_configuration=False)
        if self._dialect.privileged_only and not self.privileged:
            return Answer(self._complaint(self._dialect.privileged_only, command))
        if "display set" in pipes:
            view = "set"
        return _filtered(self._texts.read(view), pipes, is_configuration=True)

    def _full_command(self, command: str) -> str | None:
        commands = self._dialect.commands
        if command in commands:
            return command
        if not self._dialect.abbreviations:
            return None
        return next((full for full in commands if _means(command, full, True)), None)

    def _unknown(self, line: str) -> Answer:
        return Answer(self._complaint(self._dialect.unknown, line), unknown=True)

    def _complaint(self, template: str, line: str) -> bytes:
        words = line.split()
        known = [command.split() for command in self._dialect.commands]
        position = 0
        for index, word in enumerate(words):
            known = [full for full in known if index < len(full) and full[index].startswith(word)]
            position = line.index(word, position)
            if not known:
                break
        visible_prompt = self.prompt.decode("ascii", "replace").strip("\r\n")
        return encode(
            template.format(
                indent=" " * (len(visible_prompt) + position), word=words[0], line=line.strip()
            )
        )


def _starts_privileged(dialect: Dialect, username: str, enable_secret: str | None) -> bool:
    if dialect.platform == "linux":
        return username == "root"
    return enable_secret is None


def _means(typed: str, full: str, abbreviations: bool) -> bool:
    typed_words, full_words = typed.split(), full.split()
    if len(typed_words) != len(full_words):
        return False
    matches: Callable[[str, str], bool] = str.startswith if abbreviations else str.__eq__
    return all(matches(word, part) for word, part in zip(full_words, typed_words, strict=True))


def _filtered(output: bytes, pipes: list[str], *, is_configuration: bool) -> Answer:
    paged = True
    for pipe in pipes:
        if pipe == "no-more":
            paged = False
            continue
        word, _, pattern = pipe.partition(" ")
        keep = next((kept for name, kept in _FILTERS.items() if name.startswith(word)), None)
        if keep is not None and pattern:
            output = _matching_lines(output, pattern.strip("\"'"), keep=keep)
    return Answer(output, is_configuration=is_configuration, paged=paged)


def _matching_lines(output: bytes, pattern: str, *, keep: bool) -> bytes:
    try:
        expression = re.compile(pattern.encode("utf-8"))
    except re.error:
        return b"% Invalid regular expression\r\n"
    lines = output.splitlines(keepends=True)
    return b"".join(line for line in lines if bool(expression.search(line)) == keep)
