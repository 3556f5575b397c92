"""Running the git program in one repository, steered by nothing but the repository itself.

This is the only module that imports GitPython.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

from backups.engine.git.failures import damaged, store_failure

#: Large pieces keep long lines from being put together many times over.
_PIECE_BYTES = 1024 * 1024


class OutputSink(Protocol):
    """Takes the output of git piece by piece."""

    def write(self, data: bytes, /) -> int: ...


class GitAnswer(NamedTuple):
    """How a git process ended; ``status`` is the negative signal number after a kill."""

    status: int
    output: bytes
    complaints: str

    def checked(self, command: str) -> bytes:
        """Return the output. Raises DeviceError when git failed."""
        if self.status != 0:
            reason = " ".join(self.complaints.split())[:200]
            raise damaged(f"git {command} ended with status {self.status} ({reason})")
        return self.output


def load_gitpython() -> ModuleType:
    """GitPython, which is loaded by the first call: most processes never run git."""
    # Where the program is missing, ``GitCommand.execute`` says so.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import git

    return git


class GitCommand:
    """The git program for the bare repository at ``repository``; shared by threads and forks."""

    def __init__(self, repository: Path) -> None:
        self._git = load_gitpython().Git(repository)
        self._git.update_environment(**repository_environment(repository))

    def run(self, arguments: Sequence[str], stdin: bytes = b"") -> bytes:
        """Run git and return its output. Raises DeviceError when it fails."""
        return self.execute(arguments, stdin).checked(arguments[0])

    def execute(
        self,
        arguments: Sequence[str],
        stdin: bytes = b"",
        *,
        timeout_seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        sink: OutputSink | None = None,
    ) -> GitAnswer:
        """Run git; ``stdin`` is at most 64 kB.

        ``environment`` is laid over the store's own. With ``sink`` the output goes there while git
        runs, and that of the answer is empty. After ``timeout_seconds`` git and its children are
        killed. Raises DeviceError when there is no git program.
        """
        reader, writer = os.pipe()
        os.write(writer, stdin)
        os.close(writer)
        with os.fdopen(reader, "rb") as given:
            try:
                status, output, complaints = self._git.execute(
                    ["git", *arguments],
                    istream=given,
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    kill_after_timeout=timeout_seconds,
                    output_stream=sink,
                    env=environment,
                    max_chunk_size=_PIECE_BYTES,
                )
            except load_gitpython().GitCommandNotFound as error:
                raise store_failure("The program 'git' is missing: install it.") from error
        return GitAnswer(status, output if sink is None else b"", complaints)


def with_settings(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` with git settings added that neither a file nor an argument holds.

    ``environment`` must be empty or come from here (git-config(1), GIT_CONFIG_COUNT).
    """
    first = int(environment.get("GIT_CONFIG_COUNT", "0"))
    changed = {**environment, "GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings.items(), start=first):
        changed[f"GIT_CONFIG_KEY_{number}"] = key
        changed[f"GIT_CONFIG_VALUE_{number}"] = value
    return changed


#: A hook that someone puts there must not run.
BASE_SETTINGS = {"core.hooksPath": "/dev/null"}


def repository_environment(repository: Path) -> dict[str, str]:
    """Return variables that keep everything but the repository itself from steering git (git(1)).

    GitPython adds them to the process's own, so each that could point elsewhere is set here.
    """
    variables = {
        "GIT_DIR": str(repository),
        "GIT_COMMON_DIR": str(repository),
        "GIT_OBJECT_DIRECTORY": str(repository / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_NAMESPACE": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_PARAMETERS": "",
    }
    return with_settings(variables, BASE_SETTINGS)
