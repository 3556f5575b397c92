"""The few shell commands that a Linux device understands, over its made-up files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from fnmatch import fnmatchcase

from netraven_site.demo.simulator.texts import Texts, encode

_IP_OBJECTS = ("link", "address", "route", "rule")
_IP_VIEWS = {"link": "ip -d link", "address": "ip addr", "route": "ip route", "rule": "ip rule"}
_IP_EXTRAS = frozenset({"show", "list", "ls", "table", "all"})
_NO_ERRORS = re.compile(r"\s*2>\s*/dev/null")


class PosixCommands:
    """Answers command lines of `cat`, `ip`, `nft list ruleset`, `vtysh -c`, `echo` and the like.

    Args:
        texts: the device's files (views that start with `/`) and command outputs.
        complain: the answer to a command that does not exist.
    """

    def __init__(self, texts: Texts, complain: Callable[[str], bytes]) -> None:
        self._texts = texts
        self._complain = complain

    def run(self, line: str) -> bytes | None:
        """The output of all commands in a line (`;` and `&&`), None when none of them exists."""
        commands = [part.strip() for part in re.split(r";|&&", line)]
        outputs = [(command, self._output(command)) for command in commands if command]
        if all(output is None for _, output in outputs):
            return None
        return b"".join(
            self._complain(command) if output is None else output for command, output in outputs
        )

    def _output(self, command: str) -> bytes | None:
        quiet = _NO_ERRORS.search(command) is not None
        try:
            words = shlex.split(_NO_ERRORS.sub("", command))
        except ValueError:
            return None
        if words[:1] == ["sudo"]:
            words = [word for word in words[1:] if word != "-n"]
        if words[:2] == ["vtysh", "-c"]:
            words = " ".join(words[2:]).split()
        if words[:1] == ["cat"]:
            return b"".join(self._file(path, quiet=quiet) for path in words[1:])
        if words[:1] == ["echo"]:
            return encode(" ".join(words[1:]) + "\n")
        name = _ip_view(words[1:]) if words[:1] == ["ip"] else " ".join(words)
        return self._texts.read(name) if name in self._texts.views else None

    def _file(self, pattern: str, *, quiet: bool) -> bytes:
        paths = [
            view for view in self._texts.views if view[0] == "/" and fnmatchcase(view, pattern)
        ]
        if paths:
            return b"".join(self._texts.read(path) for path in paths)
        return b"" if quiet else encode(f"cat: {pattern}: No such file or directory\n")


def _ip_view(words: list[str]) -> str:
    names = [word for word in words if not word.startswith("-") and word not in _IP_EXTRAS]
    known = [name for name in _IP_OBJECTS if len(names) == 1 and name.startswith(names[0])]
    if not known:
        return ""
    view = _IP_VIEWS[known[0]]
    return view.replace("ip ", "ip -6 ") if "-6" in words and known[0] == "route" else view
