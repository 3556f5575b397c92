"""Pushing a branch of the store to a repository elsewhere. Never by force.

git gets secrets by environment variables or in files of a private folder, never as arguments, and
of the process's own environment only what is named here. Redirects are not followed, so that a
password goes to the named server and nowhere else.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from backups.engine.git.command import repository_environment, with_settings
from backups.engine.git.format import clean_line
from backups.engine.git.remote import (
    PushFailed,
    PushTarget,
    RemoteDiverged,
    RemoteKeyRefused,
)
from backups.engine.git.ssh import SshWay, offered_key
from backups.engine.private_folder import private_folder

#: A first push of a long history over a slow line takes a while; a hanging server ends sooner.
PUSH_TIMEOUT_SECONDS = 1800.0
#: What a server may say; the rest is read and dropped.
_ANSWER_BYTES = 64 * 1024
_REASON_LENGTH = 300
#: Variables of this process that git may see: programs, proxies, and the account's own SSH agent.
_PASSED_ON = (
    *("PATH", "SSH_AUTH_SOCK", "http_proxy", "https_proxy", "HTTPS_PROXY"),
    *("all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)
#: Nothing but these two ways out: ``ext::`` would run a command (git-remote-ext(1)).
_LIMITS = {
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "http.followRedirects": "false",
    "http.sslVerify": "true",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "push.gpgSign": "false",
    "push.followTags": "false",
}
_DIVERGED = re.compile(rb"^!\t[^\t]*\t\[rejected\]|non-fast-forward", re.MULTILINE)
_REFUSED = re.compile(rb"^!\t[^\t]*\t\[remote rejected\] \(([^\n]*)\)", re.MULTILINE)


class _Answer(NamedTuple):
    status: int
    output: bytes
    complaints: bytes


def push_branch(repository: Path, ref: str, target: PushTarget) -> str:
    """Push ``ref`` to the target's branch main; return the SSH host key that was shown.

    The key is "" over HTTPS. A push that brings nothing new is one too: it shows that the remote
    can be reached. Raises PushFailed and its kinds.
    """
    with private_folder() as folder:
        environment = repository_environment(repository)
        environment |= {"HOME": str(folder), "LC_ALL": "C", "LANGUAGE": "C"}
        environment |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = with_settings(environment, _LIMITS)
        if target.address.scheme == "https":
            url = target.address.url_for(None)
            environment = with_settings(environment, _https_settings(target))
            _explain(_run(repository, url, ref, environment), target)
            return ""
        way = SshWay(folder, target)
        environment["GIT_SSH_COMMAND"] = way.command
        answer = _run(repository, way.url, ref, environment)
        _explain(answer, target)
        return way.shown_key()


def _https_settings(target: PushTarget) -> dict[str, str]:
    """What git needs for HTTPS; bound to the origin, so that no other server gets the password."""
    settings: dict[str, str] = {}
    if target.ca_file is not None:
        settings["http.sslCAInfo"] = str(target.ca_file)
    credential = target.credential
    if credential is None:
        return settings
    if credential.password is None:
        raise PushFailed(
            f"Credential '{credential.name}' has no password: an https:// address needs a password "
            "or a token."
        )
    settings["credential.helper"] = ""
    header = f"Authorization: Basic {_basic(target)}"
    settings[f"http.{target.address.origin}/.extraHeader"] = header
    return settings


def _basic(target: PushTarget) -> str:
    """User and password as RFC 7617 wants them."""
    credential = target.credential
    assert credential is not None
    user = target.address.user or credential.username
    return base64.b64encode(f"{user}:{credential.password}".encode()).decode("ascii")


def _run(repository: Path, url: str, ref: str, environment: dict[str, str]) -> _Answer:
    command = ["git", "push", "--porcelain", "--no-verify", "--", url]
    try:
        process = subprocess.Popen(
            [*command, f"{ref}:refs/heads/main"],
            cwd=repository,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise PushFailed("The program 'git' or the Git store is missing.") from error
    assert process.stdout is not None
    assert process.stderr is not None
    overdue = threading.Timer(PUSH_TIMEOUT_SECONDS, _kill, (process,))
    complaints: list[bytes] = []
    listener = threading.Thread(target=lambda: complaints.append(_bounded(process.stderr)))
    overdue.start()
    listener.start()
    try:
        output = _bounded(process.stdout)
        listener.join()
        status = process.wait()
    finally:
        overdue.cancel()
        _end(process)
    return _Answer(status, output, complaints[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started, if this thread was interrupted while they ran."""
    if process.poll() is None:
        _kill(process)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _bounded(stream: IO[bytes] | None) -> bytes:
    """Read a stream to its end and keep the beginning."""
    assert stream is not None
    kept = stream.read(_ANSWER_BYTES)
    while stream.read(_ANSWER_BYTES):
        pass
    return kept


def _explain(answer: _Answer, target: PushTarget) -> None:
    """Raise what a failed push means."""
    if answer.status == 0:
        return
    if answer.status == -signal.SIGKILL:
        raise PushFailed("The remote took too long, and the push was ended; it is tried again.")
    if _DIVERGED.search(answer.output):
        raise RemoteDiverged(
            "The remote has commits that are not ours, and NetRaven never pushes by force: find "
            "out who pushed there, then point this remote at an empty repository, or remove those "
            "commits from it."
        )
    refused = _REFUSED.search(answer.output)
    if refused is not None:
        raise PushFailed(
            f"The remote refuses the push: {_shown(refused[1], target)}. Look at its hooks and "
            "protected branches."
        )
    complaints = answer.complaints
    if b"Host key verification failed" in complaints:
        raise _key_refused(target)
    raise PushFailed(_advice(complaints) + _shown(complaints, target))


def _key_refused(target: PushTarget) -> RemoteKeyRefused:
    return RemoteKeyRefused(
        "The remote showed another SSH host key than the one that is accepted: compare the "
        "fingerprints, then accept the new key if it is right.",
        shown=offered_key(target.address, target.host_key),
    )


def _advice(complaints: bytes) -> str:
    if b"Permission denied (" in complaints:
        return "The remote does not let this SSH key in; add its public half there: "
    if b"Authentication failed" in complaints or b"could not read Username" in complaints:
        return "The remote does not take user name and password or token: "
    if b"certificate" in complaints:
        return "The remote's certificate is not trusted; NETRAVEN_GIT_CA_FILE names others: "
    return "The push failed: "


def _shown(text: bytes, target: PushTarget) -> str:
    """What git or the remote said, as one line without the address and without any secret."""
    shown = text.decode("utf-8", "replace")
    for secret in _secrets(target):
        shown = shown.replace(secret, "***")
    return clean_line(shown, _REASON_LENGTH) or "git said nothing"


def _secrets(target: PushTarget) -> list[str]:
    """What must not be shown, longest first; a key line by line."""
    if target.credential is None:
        return []
    values = list(target.credential.secrets())
    if target.credential.password is not None:
        values.append(_basic(target))
    lines = {line.strip() for value in values for line in value.splitlines() if line.strip()}
    return sorted(lines, key=len, reverse=True)
