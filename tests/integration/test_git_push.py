"""Pushing to real servers: HTTPS with a log-in, OpenSSH, and everything that goes wrong there."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from backups.engine import private_folder
from backups.engine.git import push as git_push
from backups.engine.git.remote import (
    PushFailed,
    PushTarget,
    RemoteDiverged,
    RemoteKeyRefused,
    parse_remote,
)
from backups.engine.git.store import GitStore
from credentials.secret import DeviceCredential
from tests.support.git_repository import history, request_for, run_git
from tests.support.git_server import ADDRESS, PASSWORD, USERNAME, GitServer, git_server
from tests.support.git_ssh_server import git_account, git_sshd
from tests.support.openssh import KeyKind, KeyPair, Sshd
from tests.support.waiting import wait_for

PASSPHRASE = "Open-1-sesame"
CREDENTIAL = DeviceCredential(name="git-bot", username=USERNAME, password=PASSWORD)


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Private folders of this test alone: others push at the same time."""
    directory = tmp_path / "private"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))


@pytest.fixture
def store(tmp_path: Path) -> GitStore:
    store = GitStore.open_or_create(tmp_path / "store.git")
    store.save(request_for("hostname core-sw1\nend\n"))
    return store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "server") as running:
        yield running


def https_target(server: GitServer, credential: DeviceCredential | None = CREDENTIAL) -> PushTarget:
    return PushTarget(
        address=parse_remote(server.url), credential=credential, ca_file=server.ca_file
    )


def foreign_commit(repository: Path) -> str:
    """Somebody else's commit on top of the remote."""
    tree = run_git(repository, "mktree").strip()
    commit = run_git(repository, "commit-tree", tree, "-m", "ours now").strip()
    run_git(repository, "update-ref", "refs/heads/main", commit)
    return commit


def private_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("netraven-private-*"))


# --- HTTPS ----------------------------------------------------------------------------------


def test_push_over_https(store: GitStore, server: GitServer) -> None:
    assert store.push(https_target(server)) == ""
    assert history(server.repository) == [store.branches()["main"]]
    store.save(request_for("hostname core-sw1\nvlan 7\nend\n"))
    store.push(https_target(server))
    store.push(https_target(server))
    assert history(server.repository)[0] == store.branches()["main"]
    assert server.refused == []
    run_git(server.repository, "fsck", "--strict")


def test_another_branch_becomes_the_main_one_there(store: GitStore, server: GitServer) -> None:
    saved = store.save(request_for("zone\n", device_id=7, branch="zone-a"))
    store.push(https_target(server), branch="zone-a")
    assert history(server.repository) == [saved.commit]
    assert run_git(server.repository, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main"
    ]


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (None, "does not take user name and password"),
        (
            DeviceCredential(name="x", username=USERNAME, password="Wr0ng-canary"),
            "does not take user name and password",
        ),
        (DeviceCredential(name="x", username=USERNAME, ssh_key="key"), "has no password"),
    ],
)
def test_a_log_in_that_does_not_open_the_remote(
    store: GitStore, server: GitServer, credential: DeviceCredential | None, words: str
) -> None:
    with pytest.raises(PushFailed, match=words) as caught:
        store.push(https_target(server, credential))
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.accepted == []


def test_the_user_in_the_address_wins(store: GitStore, server: GitServer) -> None:
    other = DeviceCredential(name="x", username="somebody", password=PASSWORD)
    address = parse_remote(server.url.replace("https://", f"https://{USERNAME}@"))
    store.push(PushTarget(address=address, credential=other, ca_file=server.ca_file))
    assert server.refused == []


def test_an_unknown_certificate_is_not_trusted(
    store: GitStore, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    target = PushTarget(address=parse_remote(server.url), credential=CREDENTIAL)
    with pytest.raises(PushFailed, match="NETRAVEN_GIT_CA_FILE"):
        store.push(target)
    assert server.accepted == server.refused == []


def test_a_redirect_gets_nothing(store: GitStore, server: GitServer, tmp_path: Path) -> None:
    with git_server(tmp_path / "other") as thief:
        server.redirect_to = f"https://{ADDRESS}:{thief.port}"
        server.ca_file.write_text(server.ca_file.read_text() + thief.ca_file.read_text())
        with pytest.raises(PushFailed, match=r"302|redirect"):
            store.push(https_target(server))
    assert thief.accepted == thief.refused == []


def test_no_secret_is_in_any_argument(
    store: GitStore, server: GitServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE", str(trace))
    monkeypatch.setenv("GIT_TRACE_CURL", str(trace))
    server.hang_at_push = True
    pushing = threading.Thread(target=store.push, args=(https_target(server),))
    pushing.start()
    assert server.hangs.wait(30)
    ours = psutil.Process().children(recursive=True)
    lines = [" ".join(process.cmdline()) for process in ours]
    server.release.set()
    pushing.join(30)

    assert any("git-remote-https" in line or "remote-https" in line for line in lines), lines
    basic = git_push._basic(https_target(server))
    assert not [line for line in lines if "canary" in line or basic in line]
    assert not trace.exists()
    assert history(server.repository) == [store.branches()["main"]]


def test_a_remote_with_other_commits_is_never_overwritten(
    store: GitStore, server: GitServer
) -> None:
    theirs = foreign_commit(server.repository)
    for _ in range(2):
        with pytest.raises(RemoteDiverged, match="never pushes by force"):
            store.push(https_target(server))
    assert history(server.repository) == [theirs]


def test_a_refusing_hook_is_quoted_in_one_bounded_line(store: GitStore, server: GitServer) -> None:
    hook = server.repository / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nhead -c 9000000 /dev/zero | tr '\\0' x >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushFailed, match="pre-receive hook declined") as caught:
        store.push(https_target(server))
    assert not isinstance(caught.value, RemoteDiverged)
    assert len(str(caught.value)) < 500


def test_a_remote_that_echoes_the_secret_does_not_get_it_shown(
    store: GitStore, server: GitServer
) -> None:
    said = f"fatal: {PASSWORD} and {git_push._basic(https_target(server))}\x1b[31m\u202e\nend"
    shown = git_push._shown(said.encode(), https_target(server))
    assert shown == "fatal: *** and *** [31m end"


def test_a_server_that_is_down_and_back(store: GitStore, tmp_path: Path) -> None:
    with git_server(tmp_path / "server") as server:
        port = server.port
    with pytest.raises(PushFailed, match=r"The push failed: .*(refused|connect)"):
        store.push(https_target(server))
    with git_server(tmp_path / "server", port) as server:
        store.push(https_target(server))
    assert history(server.repository) == [store.branches()["main"]]


def test_a_hanging_server_is_left(
    store: GitStore, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_push, "PUSH_TIMEOUT_SECONDS", 1.0)
    server.hang_at_push = True
    with pytest.raises(PushFailed, match="took too long"):
        store.push(https_target(server))
    children = psutil.Process().children(recursive=True)
    # The git that counts changed lines stays for the next ones.
    assert not [p for p in children if "git" in p.name() and "diff-tree" not in p.cmdline()]
    monkeypatch.undo()
    server.hang_at_push, server.sender_is_gone = False, True
    server.release.set()
    store.push(https_target(server))
    assert history(server.repository) == [store.branches()["main"]]


_PUSH = """
import sys
from pathlib import Path
from backups.engine.git.remote import PushTarget, parse_remote
from backups.engine.git.store import GitStore
from credentials.secret import DeviceCredential
store, url, ca, user = sys.argv[1:]
credential = DeviceCredential(name="x", username=user, password=sys.stdin.read())
target = PushTarget(address=parse_remote(url), credential=credential, ca_file=Path(ca))
GitStore(Path(store)).push(target)
"""


def test_a_push_killed_midway_is_made_good_by_the_next(
    store: GitStore, server: GitServer, tmp_path: Path
) -> None:
    server.hang_at_push = True
    arguments = [str(tmp_path / "store.git"), server.url, str(server.ca_file), USERNAME]
    process = subprocess.Popen(
        [sys.executable, "-c", _PUSH, *arguments], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write(PASSWORD.encode())
    process.stdin.close()
    assert server.hangs.wait(30)
    git = psutil.Process(process.pid).children(recursive=True)
    left = private_folders()
    for victim in (psutil.Process(process.pid), *git):
        with suppress(psutil.NoSuchProcess):
            os.kill(victim.pid, signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert left
    assert run_git(server.repository, "for-each-ref") == ""

    server.hang_at_push, server.sender_is_gone = False, True
    server.release.set()
    store.push(https_target(server))
    assert history(server.repository) == [store.branches()["main"]]
    assert not [folder for folder in left if folder.exists()], "the next push removes what is left"


def test_two_pushes_at_once_do_no_harm(store: GitStore, server: GitServer) -> None:
    for number in range(3):
        store.save(request_for(f"{number}\n"))
        problems: list[str] = []

        def push(problems: list[str] = problems) -> None:
            try:
                store.push(https_target(server))
            except PushFailed as error:
                problems.append(str(error))

        threads = [threading.Thread(target=push) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(problems) < 3
    assert history(server.repository)[0] == store.branches()["main"]
    run_git(server.repository, "fsck", "--strict")


@pytest.mark.parametrize("helper", ["ext::sh -c touch% {}", "file://{}", "{}"])
def test_no_other_protocol_gets_through(store: GitStore, tmp_path: Path, helper: str) -> None:
    """Also where a setting of the repository turns a good address into another one."""
    trap = tmp_path / "trap"
    run_git(tmp_path / "store.git", "init", "-q", "--bare", str(trap / "x.git"))
    evil = helper.format(trap / "x.git")
    run_git(
        tmp_path / "store.git", "config", f"url.{evil}.insteadOf", "https://git.example.net/c.git"
    )
    with pytest.raises(PushFailed, match="not allowed"):
        store.push(PushTarget(address=parse_remote("https://git.example.net/c.git")))


# --- SSH ------------------------------------------------------------------------------------


Start = Callable[..., tuple[Sshd, Path]]


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    with git_account() as name:
        yield name


@pytest.fixture
def start(account: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server that lets these keys in, with an empty repository of the account's."""
    with ExitStack() as running:
        yield lambda *keys: running.enter_context(git_sshd(tmp_path, account, *keys))


def ssh_target(
    sshd: Sshd, repository: Path, credential: DeviceCredential, host_key: str = ""
) -> PushTarget:
    url = f"ssh://{ADDRESS}:{sshd.port}{repository}"
    return PushTarget(address=parse_remote(url), credential=credential, host_key=host_key)


def ssh_history(repository: Path) -> list[str]:
    command = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), "log"]
    done = subprocess.run([*command, "--format=%H", "main"], capture_output=True, check=True)
    return done.stdout.decode().split()


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_push_over_ssh(
    store: GitStore, start: Start, account: str, kind: KeyKind, passphrase: str | None
) -> None:
    key = KeyPair(passphrase, kind)
    sshd, repository = start(key)
    credential = DeviceCredential(
        name="git-key", username=account, ssh_key=key.private, ssh_key_passphrase=passphrase
    )
    shown = store.push(ssh_target(sshd, repository, credential))
    assert shown == " ".join(sshd.host_key.public.split()[:2])
    store.save(request_for("hostname core-sw1\nvlan 7\nend\n"))
    assert store.push(ssh_target(sshd, repository, credential, host_key=shown)) == shown
    assert ssh_history(repository)[0] == store.branches()["main"]
    assert private_folders() == []


def test_another_host_key_stops_the_push_before_the_log_in(
    store: GitStore, start: Start, account: str
) -> None:
    key = KeyPair()
    sshd, repository = start(key)
    credential = DeviceCredential(name="git-key", username=account, ssh_key=key.private)
    known = " ".join(KeyPair().public.split()[:2])
    with pytest.raises(RemoteKeyRefused, match="another SSH host key") as caught:
        store.push(ssh_target(sshd, repository, credential, host_key=known))
    assert caught.value.shown == " ".join(sshd.host_key.public.split()[:2])
    assert "Accepted publickey" not in sshd.log()
    assert account not in sshd.log().replace("AllowUsers", "")


def test_a_host_key_of_another_kind_is_another_one(
    store: GitStore, start: Start, account: str
) -> None:
    key = KeyPair()
    sshd, repository = start(key)
    credential = DeviceCredential(name="git-key", username=account, ssh_key=key.private)
    known = " ".join(KeyPair(kind=KeyKind.RSA).public.split()[:2])
    with pytest.raises(RemoteKeyRefused):
        store.push(ssh_target(sshd, repository, credential, host_key=known))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": PASSWORD}, "has no SSH key, and a password is not sent"),
        ({"ssh_key": KeyPair().private}, "does not let this SSH key in"),
        (
            {"ssh_key": KeyPair(PASSPHRASE).private, "ssh_key_passphrase": "no"},
            "passphrase does not open",
        ),
        ({"ssh_key": "no key at all"}, r"does not let this SSH key in|push failed"),
    ],
)
def test_a_key_that_does_not_open_the_remote(
    store: GitStore, start: Start, account: str, fields: dict[str, str], words: str
) -> None:
    sshd, repository = start(KeyPair())
    credential = DeviceCredential(name="git-key", username=account, **fields)
    with pytest.raises(PushFailed, match=words) as caught:
        store.push(ssh_target(sshd, repository, credential))
    assert "\n" not in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)
    assert private_folders() == []


def test_the_account_s_own_settings_have_no_say(
    store: GitStore, start: Start, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "trap"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {trap};")
    monkeypatch.setenv("GIT_SSH", f"{trap}")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.sshCommand")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"touch {trap};")
    key = KeyPair()
    sshd, repository = start(key)
    credential = DeviceCredential(name="git-key", username=account, ssh_key=key.private)
    store.push(ssh_target(sshd, repository, credential))
    assert not trap.exists()


def test_a_key_folder_is_private_while_it_is_used(tmp_path: Path) -> None:
    with private_folder.private_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        with private_folder.private_folder() as other:
            assert folder.exists()
            assert other != folder
    assert not folder.exists()
    wait_for(lambda: private_folders() == [], "no folder is left", 30)


def test_a_folder_that_is_swept_away_before_it_is_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = fcntl.flock
    swept: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not swept:
            swept.append(descriptor)
            (folder,) = private_folders()
            folder.rmdir()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with private_folder.private_folder() as folder:
        assert folder.exists()
    assert swept
