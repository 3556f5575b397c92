"""A Git repository behind a real OpenSSH server, for an account of the test's own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import openssh
from tests.support.openssh import KeyPair, Sshd, login_account


@contextmanager
def git_account() -> Iterator[str]:
    """An account that gets in by key; the test is skipped where there can be none."""
    reason = openssh.missing()
    if reason is not None:
        pytest.skip(reason)
    name = f"nrtest-{secrets.token_hex(4)}"
    with (
        openssh.separation_directory(),
        login_account(name, shell=Path("/bin/sh"), group="users", password=None),
    ):
        yield name


@contextmanager
def git_sshd(tmp_path: Path, account: str, *keys: KeyPair) -> Iterator[tuple[Sshd, Path]]:
    """A running server that lets these keys in, and an empty repository of the account's."""
    directory = tmp_path / secrets.token_hex(4)
    # The account reaches its files through the directories above them.
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == "root" and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    sshd = Sshd(directory, account=account, keys=keys, password=False)
    directory.chmod(0o755)
    repository = directory / "configs.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], check=True)
    subprocess.run(["chown", "-R", account, repository], check=True)
    sshd.start()
    try:
        yield sshd, repository
    finally:
        sshd.stop()
