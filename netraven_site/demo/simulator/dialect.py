"""How the command line of a platform looks and what it understands: the shape of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A command that prepares the terminal.

    `reply` may use `{0}`, the number in the command. `pages` says that the number is a page
    length: 0 switches the pager off.
    """

    pattern: re.Pattern[str]
    reply: str = ""
    pages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The command line of one platform.

    Texts use `\\n`; `{host}`, `{user}` and `{home}` are filled in.
    """

    platform: str
    prompt: str
    privileged_prompt: str
    greeting: str
    unknown: str
    """Answer to an unknown command; `{indent}` puts a caret below the word, `{word}` names it."""
    commands: Mapping[str, str]
    """Full command to the name of the view that it prints."""
    version: str
    """Answer to `show version`; `{uptime}` differs at each read."""
    clock: str
    """`strftime` format of the times in the configuration."""
    settings: tuple[Setting, ...] = ()
    enable: str = ""
    """Command that leads to the privileged mode; empty where there is none."""
    disable: str = ""
    secret_prompt: str = "Password: "  # noqa: S105 - the question, not its answer
    denied: str = ""
    """Answer when the privileged mode was refused."""
    privileged_only: str = ""
    """Answer to a configuration command outside the privileged mode; empty where it is allowed."""
    exits: frozenset[str] = frozenset({"exit", "quit", "logout"})
    echo_end: str = "\n"
    pager_mark: str = " --More-- "
    pager_erase: str = "\r          \r"
    has_pager: bool = True
    abbreviations: bool = True


def setting(pattern: str, reply: str = "", *, pages: bool = False) -> Setting:
    """A terminal setting; `pattern` has to match the whole command."""
    return Setting(re.compile(pattern), reply, pages)
