"""The system user of the embedded servers, and what it may enter and read.

PostgreSQL refuses to run as root. When NetRaven runs as root, PostgreSQL and Redis run as a system
user of their own; otherwise they run as the user who started NetRaven.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from netraven_site.stack.errors import StackError

_SERVICE_USER = "netraven-db"


@dataclass(frozen=True, slots=True)
class Account:
    """A system user that the servers run as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def for_directory(cls, directory: Path) -> Account | None:
        """Who runs the servers that own ``directory``; None = the user of this process.

        As root that is the directory's owner, and for a new directory a system user that is made
        on first use. Raises StackError when it cannot be made.
        """
        if os.geteuid() != 0:
            return None
        owner = directory.stat().st_uid if directory.exists() else 0
        if owner != 0:
            try:
                return cls._from_entry(pwd.getpwuid(owner))
            except KeyError:  # made by another container, where the numbers are different
                pass
        return cls._service_account()

    @classmethod
    def _service_account(cls) -> Account:
        try:
            return cls._from_entry(pwd.getpwnam(_SERVICE_USER))
        except KeyError:
            _create_user(_SERVICE_USER)
        return cls._from_entry(pwd.getpwnam(_SERVICE_USER))

    @classmethod
    def _from_entry(cls, entry: pwd.struct_passwd) -> Account:
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create_user(name: str) -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise StackError(
            f"the system user {name} for PostgreSQL cannot be made ({reason.strip()}); run "
            "NetRaven as a normal user, or set DATABASE_URL and REDIS_URL to servers of your own"
        ) from None


def make_reachable(path: Path, account: Account | None) -> None:
    """Let ``account`` enter every directory on the way to ``path``, and nobody else.

    A directory of root that has no group rights (such as ``/root``) is handed to the account's
    group with the right to enter it, not to list it. Anything else is left alone: raises
    StackError.
    """
    if account is None:
        return
    for directory in reversed(path.resolve().parents):
        status = directory.stat()
        if _may_enter(status, account):
            continue
        if status.st_uid != 0 or status.st_mode & stat.S_IRWXG:
            raise StackError(
                f"the database's system user {account.name} may not enter {directory}; set "
                "NETRAVEN_DATA_DIR to another directory, or run NetRaven as a normal user"
            )
        os.chown(directory, -1, account.gid)
        directory.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXGRP)


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def make_private_directory(directory: Path, account: Account | None) -> None:
    """Make ``directory`` and give it, with all that is in it, to ``account`` alone."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    if account is None or directory.stat().st_uid == account.uid:
        return
    for folder, _, files in os.walk(directory):
        os.chown(folder, account.uid, account.gid)
        for name in files:
            os.lchown(Path(folder, name), account.uid, account.gid)


def write_server_file(path: Path, text: str, account: Account | None) -> None:
    """Write a server's configuration whole: readable by ``account``, changed only by this user."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if account is not None:
        os.chown(temporary, -1, account.gid)
        Path(temporary).chmod(0o640)
    Path(temporary).replace(path)
    make_reachable(path, account)
