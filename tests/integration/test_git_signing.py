"""Commits that are signed by an SSH key, checked by git itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.engine.config_path import config_path
from backups.engine.git.signing import SshSigner, check_signing_key
from backups.engine.git.store import GitStore
from tests.support.git_repository import (
    assert_sound,
    commit_time,
    history,
    request_for,
    run_git,
    store_failure,
)
from tests.support.openssh import KeyKind, KeyPair


@pytest.fixture(params=KeyKind)
def key(request: pytest.FixtureRequest) -> KeyPair:
    return KeyPair(kind=request.param)


@pytest.fixture
def key_file(tmp_path: Path, key: KeyPair) -> Path:
    return key.write(tmp_path / "signing-key")


def verified(repository: Path, commit: str, key: KeyPair) -> bool:
    signers = repository.with_name("allowed-signers")
    signers.write_text(f"netraven@localhost {key.public}\n")
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}"]
    command = ["git", "--git-dir", str(repository), *settings, "verify-commit", commit]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_commits_are_signed_on_every_branch(tmp_path: Path, key: KeyPair, key_file: Path) -> None:
    repository = tmp_path / "store.git"
    store = GitStore.open_or_create(repository, sign=SshSigner(key_file))
    saved = [store.save(request_for(text)).commit for text in ("a\n", "Zürich\n")]
    grown = store.grow("zone-a", [config_path("core-sw1", 42)])
    assert grown is not None
    commits = [*saved, grown, f"{grown}^"]
    assert [verified(repository, commit, key) for commit in commits] == [True] * 4
    assert not verified(repository, saved[0], KeyPair())
    assert run_git(repository, "log", "-1", "--format=%s", "main") == "core-sw1: +1 -1 lines\n"
    assert commit_time(repository, saved[1]) > 1_700_000_000
    assert_sound(repository)


def test_a_changed_commit_is_noticed(tmp_path: Path, key: KeyPair, key_file: Path) -> None:
    repository = tmp_path / "store.git"
    saved = GitStore.open_or_create(repository, sign=SshSigner(key_file)).save(request_for("a\n"))
    body = run_git(repository, "cat-file", "commit", saved.commit).replace("nightly", "another")
    forged = run_git(
        repository, "hash-object", "-t", "commit", "-w", "--stdin", stdin=body.encode()
    ).strip()
    assert verified(repository, saved.commit, key)
    assert not verified(repository, forged, key)


def test_a_signer_that_fails_keeps_the_commit_out(tmp_path: Path) -> None:
    repository = tmp_path / "store.git"
    key_file = KeyPair().write(tmp_path / "signing-key")
    store = GitStore.open_or_create(repository, sign=SshSigner(key_file))
    before = store.save(request_for("a\n")).commit
    key_file.rename(tmp_path / "away")
    with store_failure("cannot be signed"):
        store.save(request_for("b\n"))
    assert history(repository) == [before]
    (tmp_path / "away").rename(key_file)
    assert store.save(request_for("b\n")).changed
    assert_sound(repository)


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_waits_until_its_commit_can_be_signed(
    git_directory: Path, configure: Callable[..., None], tmp_path: Path
) -> None:
    from backups.models import Snapshot
    from backups.services.commits import snapshots_commit
    from backups.services.store import RunLabel, backup_store
    from tests.factories import DeviceFactory, backup_outcome

    key = KeyPair()
    key_file = key.write(tmp_path / "signing-key")
    configure(git_signing_key=key_file)
    device = DeviceFactory.create()
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome("a\n"), label=label)
    key_file.rename(tmp_path / "away")
    with store_failure("cannot be signed"):
        snapshots_commit(device_id=device.pk)
    waiting = Snapshot.objects.get()
    assert (waiting.state, waiting.pending_text) == ("PENDING", "a\n")
    (tmp_path / "away").rename(key_file)
    snapshots_commit(device_id=device.pk)
    assert verified(git_directory, Snapshot.objects.get().commit, key)


def test_without_a_program_to_sign_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = SshSigner(KeyPair().write(tmp_path / "signing-key"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with store_failure("'ssh-keygen' is missing"):
        signer(b"x")


def test_a_usable_key_is_taken(key_file: Path) -> None:
    check_signing_key(key_file)


def test_unusable_keys_are_refused(tmp_path: Path) -> None:
    wrong = {
        "missing": "cannot be read",
        "folder": "must be a file",
        "open": "chmod 600",
        "passphrase": "without a passphrase",
        "no-key": "without a passphrase",
    }
    (tmp_path / "folder").mkdir()
    KeyPair().write(tmp_path / "open").chmod(0o640)
    KeyPair("Open-1-sesame").write(tmp_path / "passphrase")
    (tmp_path / "no-key").touch(mode=0o600)
    for name, words in wrong.items():
        with pytest.raises(ValueError, match=words) as caught:
            check_signing_key(tmp_path / name)
        assert "\n" not in str(caught.value)
