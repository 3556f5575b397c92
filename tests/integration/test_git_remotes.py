"""Git remotes as rows: pushed to by command, API, admin, runs and the reconciler."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.models import GitRemote, RemoteState, Snapshot
from backups.selectors.git import git_store
from backups.selectors.remotes import remote_lag
from backups.services.commits import snapshots_commit
from backups.services.remotes import (
    backoff,
    push_carry_out,
    push_plan,
    push_record,
    remote_alone,
    remote_push,
    remote_save,
    remotes_mark_changed,
    remotes_take_due,
    zone_branch,
)
from backups.services.store import RunLabel, backup_store
from credentials.models import Credential
from credentials.services import credential_create
from inventory.host_keys import fingerprint
from inventory.models import Device, HostKeyChange
from jobs.choices import LogLevel, RunStatus, Trigger
from jobs.git_tasks import push_remote
from jobs.launch import request_run
from jobs.models import JobLog
from jobs.reconcile import reconcile
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
    user_with,
)
from tests.support.devices import device_spec, fleet_in_thread
from tests.support.git_repository import history, run_git
from tests.support.git_server import PASSWORD, USERNAME, GitServer, git_server
from tests.support.git_ssh_server import git_account, git_sshd
from tests.support.inventory import add_credential, add_device, add_job
from tests.support.openssh import ADDRESS, KeyPair
from tests.support.waiting import wait_for, wait_for_end

pytestmark = pytest.mark.django_db

URL = "https://git.example.net/configs.git"


@pytest.fixture
def server(
    tmp_path: Path, git_directory: Path, configure: Callable[..., None]
) -> Iterator[GitServer]:
    with git_server(tmp_path / "server") as running:
        configure(git_ca_file=running.ca_file)
        yield running


def bot(**secrets: Any) -> Credential:
    return credential_create(
        name="git-bot", username=USERNAME, **(secrets or {"password": PASSWORD})
    )


def add_remote(url: str, **fields: Any) -> GitRemote:
    return remote_save(remote=GitRemote(**{"name": "offsite", "url": url, **fields}))


def commit(device: Device, text: str) -> Snapshot:
    label = RunLabel(run_id=1, job_name="nightly")
    snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
    assert snapshot is not None
    snapshots_commit(device_id=device.pk)
    snapshot.refresh_from_db()
    return snapshot


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("git_remote", *arguments, stdout=out)
    return out.getvalue()


# --- rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://x/y.git", "/srv/x.git", "https://u:p@x/y.git", "ext::sh"])
def test_only_addresses_that_can_be_pushed_to_are_kept(url: str) -> None:
    with pytest.raises(ValidationError, match="no address of a Git remote"):
        add_remote(url)


def test_the_credential_fits_the_kind_of_address() -> None:
    password_only = bot()
    with pytest.raises(ValidationError, match="password is not sent over SSH"):
        add_remote("ssh://git@git.example.net/c.git", credential=password_only)
    password_only.delete()
    with pytest.raises(ValidationError, match="no password or token"):
        add_remote(URL, credential=bot(ssh_key=KeyPair().private))


def test_another_address_is_another_remote() -> None:
    remote = add_remote(URL)
    GitRemote.objects.update(
        state=RemoteState.OK, pushed_snapshot_id=7, pushed_commit="a" * 40, host_key="ssh-rsa AAAA"
    )
    remote.refresh_from_db()
    remote_save(remote=remote)
    assert (remote.state, remote.pushed_snapshot_id) == (RemoteState.OK, 7)
    remote.url = "https://git.example.net/other.git"
    remote_save(remote=remote)
    remote.refresh_from_db()
    assert (remote.state, remote.pushed_snapshot_id) == (RemoteState.NEVER, 0)
    assert (remote.pushed_commit, remote.host_key) == ("", "")


def test_the_wait_after_failures_doubles_up_to_an_hour() -> None:
    minutes = [backoff(failures).total_seconds() / 60 for failures in (1, 2, 3, 6, 7, 8, 5000)]
    assert minutes == [1, 2, 4, 32, 60, 60, 60]


def test_each_due_remote_is_handed_out_once(git_directory: Path) -> None:
    names = ("due", "later", "disabled", "forgotten")
    remotes = {name: add_remote(URL, name=name, is_enabled=name != "disabled") for name in names}
    snapshot = commit(DeviceFactory.create(), "a\n")
    Snapshot.objects.update(collected_at=timezone.now() - timedelta(hours=1))
    soon = timezone.now() + timedelta(hours=1)
    GitRemote.objects.filter(name="later").update(next_attempt_at=soon)
    GitRemote.objects.filter(name="forgotten").update(next_attempt_at=None)
    assert set(remotes_take_due()) == {remotes["due"].pk, remotes["forgotten"].pk}
    assert remotes_take_due() == []

    GitRemote.objects.update(next_attempt_at=None, pushed_snapshot_id=snapshot.pk)
    assert remotes_take_due() == []
    zone = ZoneFactory.create()
    GitRemote.objects.update(pushed_snapshot_id=0, zone=zone)
    assert remotes_take_due() == []
    Device.objects.update(zone=zone)
    assert len(remotes_take_due()) == 3


def test_a_change_leaves_a_failing_remote_its_wait() -> None:
    add_remote(URL)
    later = timezone.now() + timedelta(hours=1)
    GitRemote.objects.update(failures=3, next_attempt_at=later)
    assert remotes_mark_changed() == 0
    assert GitRemote.objects.get().next_attempt_at == later


# --- pushing --------------------------------------------------------------------------------


def test_push_and_lag(server: GitServer) -> None:
    device = DeviceFactory.create()
    remote = add_remote(server.url, credential=bot())
    assert remote_push(remote=remote).error == "There is nothing to push yet."
    assert remote.state == RemoteState.NEVER

    first = commit(device, "a\n")
    assert remote_lag(remote=remote).snapshots == 1
    assert remote_push(remote=remote).state == RemoteState.OK
    assert (remote.pushed_commit, remote.pushed_snapshot_id) == (first.commit, first.pk)
    assert (remote.failures, remote.error, remote.next_attempt_at) == (0, "", None)
    assert remote.pushed_at is not None
    assert remote_lag(remote=remote) == remote_lag(remote=remote).__class__(
        snapshots=0, seconds=None
    )

    second = commit(device, "b\n")
    Snapshot.objects.filter(pk=second.pk).update(
        collected_at=timezone.now() - timedelta(seconds=90)
    )
    lag = remote_lag(remote=remote)
    assert lag.snapshots == 1
    assert lag.seconds is not None
    assert 90 <= lag.seconds < 120
    assert history(server.repository) == [first.commit]


def test_a_snapshot_that_waits_for_git_counts_as_not_pushed(server: GitServer) -> None:
    label = RunLabel(run_id=1, job_name="nightly")
    waiting = backup_store(device=DeviceFactory.create(), outcome=backup_outcome(), label=label)
    assert waiting is not None
    later = commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot())
    remote_push(remote=remote)
    assert remote.pushed_commit == later.commit
    assert remote.pushed_snapshot_id == waiting.pk - 1
    assert remote_lag(remote=remote).snapshots == 2


@pytest.mark.django_db(transaction=True)
def test_a_remote_that_is_down_and_back(
    tmp_path: Path, git_directory: Path, configure: Callable[..., None]
) -> None:
    with git_server(tmp_path / "server") as server:
        configure(git_ca_file=server.ca_file)
        port = server.port
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot())
    for failures in (1, 2):
        remote_push(remote=remote)
        assert (remote.state, remote.failures) == (RemoteState.FAILED, failures)
        assert remote.attempted_at is not None
        assert remote.next_attempt_at == remote.attempted_at + backoff(failures)
    assert remotes_take_due() == []
    GitRemote.objects.update(next_attempt_at=timezone.now())
    with git_server(tmp_path / "server", port):
        for remote_id in remotes_take_due():
            push_remote(remote_id)
    remote.refresh_from_db()
    assert (remote.state, remote.failures, remote.error) == (RemoteState.OK, 0, "")


def test_a_remote_with_other_commits(server: GitServer) -> None:
    commit(DeviceFactory.create(), "a\n")
    tree = run_git(server.repository, "mktree").strip()
    theirs = run_git(server.repository, "commit-tree", tree, "-m", "x").strip()
    run_git(server.repository, "update-ref", "refs/heads/main", theirs)
    remote = add_remote(server.url, credential=bot())
    remote_push(remote=remote)
    assert remote.state == RemoteState.DIVERGED
    assert "never pushes by force" in remote.error
    assert history(server.repository) == [theirs]
    assert remote.next_attempt_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_wrong_password_is_shown_nowhere(
    server: GitServer, caplog: pytest.LogCaptureFixture
) -> None:
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot(password="Wr0ng-canary-word"))
    push_remote(remote.pk)
    remote.refresh_from_db()
    assert "does not take user name and password" in remote.error
    with pytest.raises(CommandError) as caught:
        command("push", "offsite")
    shown = [remote.error, str(caught.value), command("show", "offsite"), caplog.text]
    assert not [text for text in shown if "canary" in text]


def test_a_secret_that_cannot_be_opened_is_a_failed_push(git_directory: Path) -> None:
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(URL, credential=bot())
    Credential.objects.update(sealed_password=b"\x01\x02k1" + b"x" * 40)
    remote_push(remote=remote)
    assert remote.state == RemoteState.FAILED
    assert "secret could not be opened" in remote.error


@pytest.mark.django_db(transaction=True)
def test_only_one_pushes_to_a_remote(server: GitServer) -> None:
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot())
    with remote_alone(remote.pk):
        push_remote(remote.pk)
        with pytest.raises(CommandError, match="another push to this remote"):
            command("push", "offsite")
    assert server.accepted == []
    push_remote(remote.pk)
    assert history(server.repository) == [git_store().branches()["main"]]


def test_commits_during_a_push_are_not_forgotten(server: GitServer) -> None:
    device = DeviceFactory.create()
    commit(device, "a\n")
    remote = add_remote(server.url, credential=bot())
    plan = push_plan(remote_id=remote.pk)
    assert plan is not None
    outcome = push_carry_out(plan=plan)
    commit(device, "b\n")
    push_record(plan=plan, outcome=outcome)
    remote.refresh_from_db()
    assert remote_lag(remote=remote).snapshots == 1


@pytest.mark.django_db(transaction=True)
def test_a_remote_that_changes_during_a_push_stays_new(server: GitServer) -> None:
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot())
    plan = push_plan(remote_id=remote.pk)
    assert plan is not None
    outcome = push_carry_out(plan=plan)
    remote.url = URL
    remote_save(remote=remote)
    push_record(plan=plan, outcome=outcome)
    remote.refresh_from_db()
    assert (remote.state, remote.pushed_commit) == (RemoteState.NEVER, "")
    GitRemote.objects.all().delete()
    push_record(plan=plan, outcome=outcome)
    push_remote(remote.pk)
    assert not GitRemote.objects.exists()


def test_a_zone_gets_its_devices_and_no_others(server: GitServer, git_directory: Path) -> None:
    zone = ZoneFactory.create(name="plant-a")
    ours, other = DeviceFactory.create(zone=zone), DeviceFactory.create()
    mine = commit(ours, "ours\n")
    commit(other, "theirs\n")
    remote = add_remote(server.url, credential=bot(), zone=zone)
    assert remote_lag(remote=remote).snapshots == 1
    remote_push(remote=remote)
    assert remote.pushed_commit == git_store().branches()[zone_branch(zone.pk)]
    assert remote_lag(remote=remote).snapshots == 0
    files = run_git(server.repository, "ls-tree", "-r", "--name-only", "main").split()
    assert files == [mine.path]
    zone.name = "plant-b"
    zone.save()
    commit(ours, "ours, changed\n")
    assert remote_push(remote=remote).state == RemoteState.OK
    assert run_git(server.repository, "show", f"main:{mine.path}") == "ours, changed\n"
    log = run_git(server.repository, "log", "-p", "main")
    assert "theirs" not in log
    run_git(git_directory, "fsck", "--strict")


def test_host_keys_of_a_remote(tmp_path: Path, git_directory: Path) -> None:
    commit(DeviceFactory.create(), "a\n")
    key = KeyPair()
    with git_account() as account, git_sshd(tmp_path, account, key) as (sshd, repository):
        credential = credential_create(name="git-key", username=account, ssh_key=key.private)
        url = f"ssh://{ADDRESS}:{sshd.port}{repository}"
        remote = add_remote(url, credential=credential)
        shown = command("push", "offsite")
        first = fingerprint(" ".join(sshd.host_key.public.split()[:2]))
        assert f"kept host key {first}" in shown
        sshd.stop()
        sshd.use_host_key(KeyPair())
        sshd.start()
        second = fingerprint(" ".join(sshd.host_key.public.split()[:2]))
        with pytest.raises(CommandError, match="another SSH host key") as caught:
            command("push", "offsite")
        assert second in str(caught.value)
        remote.refresh_from_db()
        assert (remote.host_key_fingerprint, remote.offered_fingerprint) == (first, second)
        with pytest.raises(CommandError, match="another key"):
            command("accept-host-key", "offsite", first)
        assert second in command("accept-host-key", "offsite", second)
        assert HostKeyChange.objects.get().new_fingerprint == second
        assert "pushed" in command("push", "offsite")
        remote.refresh_from_db()
        assert (remote.state, remote.offered_host_key) == (RemoteState.OK, "")


# --- from runs and by the reconciler --------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_run_that_changed_something_pushes(worker: None, server: GitServer) -> None:
    add_remote(server.url, credential=bot())
    add_remote("https://127.0.0.1:1/x.git", name="broken")
    spec = device_spec("cisco_ios", "r0")
    with fleet_in_thread(spec) as fleet:
        add_device(spec, *fleet.address("r0"))
        add_credential(spec)
        run = wait_for_end(request_run(job=add_job(), trigger=Trigger.MANUAL))
    assert run.status == RunStatus.COMPLETED_SUCCESS
    wait_for(lambda: JobLog.objects.filter(message__contains="Git remote").count() == 2, "pushes")
    logs = dict(
        JobLog.objects.filter(message__contains="Git remote").values_list("message", "level")
    )
    assert logs.pop("Git remote 'offsite': pushed") == LogLevel.INFO
    assert list(logs.values()) == [LogLevel.ERROR]
    assert history(server.repository) == [git_store().branches()["main"]]
    assert GitRemote.objects.get(name="broken").state == RemoteState.FAILED


@pytest.mark.django_db(transaction=True)
def test_the_reconciler_sends_what_is_due(worker: None, server: GitServer) -> None:
    commit(DeviceFactory.create(), "a\n")
    remote = add_remote(server.url, credential=bot())
    assert reconcile().remotes_sent == 1
    assert reconcile().remotes_sent == 0

    def pushed() -> bool:
        return GitRemote.objects.get().state == RemoteState.OK

    wait_for(pushed, "the push")
    assert history(server.repository) == [GitRemote.objects.get(pk=remote.pk).pushed_commit]


# --- command, API, admin --------------------------------------------------------------------


def test_the_command(server: GitServer) -> None:
    bot()
    assert "no Git remote" in command("list")
    command("add", "offsite", server.url, "--credential", "git-bot", "--disabled")
    commit(DeviceFactory.create(), "a\n")
    assert "offsite  DISABLED  1 behind  all devices" in command("list")
    assert "pushed, the newest commit there is" in command("push", "offsite")
    [row] = json.loads(command("list", "--json"))["remotes"]
    assert (row["name"], row["state"], row["snapshots_behind"]) == ("offsite", "OK", 0)
    assert json.loads(command("show", "offsite", "--json")) == row
    assert "removed" in command("remove", "offsite")
    for arguments in (
        ("push", "offsite"),
        ("add", "x", URL, "--zone", "nowhere"),
        ("add", "x", URL, "--credential", "nobody"),
        ("add", "x", "https://u:Zq9-CANARY@x/y.git"),
    ):
        with pytest.raises(CommandError) as caught:
            command(*arguments)
        assert "\n" not in str(caught.value)
        assert "CANARY" not in str(caught.value)


def test_the_api(client: Client, web: None, git_directory: Path) -> None:
    CredentialFactory.create(name="git-bot")
    ZoneFactory.create(name="plant-a")
    address = "/api/v1/git-remotes/"
    body = {"name": "offsite", "url": URL, "credential": "git-bot", "zone": "plant-a"}

    def call(method: str, path: str = "", content: object = None) -> tuple[int, Any]:
        answer = client.generic(
            method, address + path, json.dumps(content), content_type="application/json"
        )
        return answer.status_code, answer.json() if answer.content else None

    assert call("GET")[0] == 401
    client.force_login(user_with("backups.view_gitremote"))
    assert call("GET")[0] == 200
    assert call("POST", "", body)[0] == 403

    client.force_login(UserFactory.create(is_superuser=True))
    status, made = call("POST", "", body)
    assert status == 201, made
    assert (made["zone"], made["state"], made["lag"]) == (
        "plant-a",
        "NEVER",
        {"snapshots": 0, "seconds": None},
    )
    assert "Zq9" not in json.dumps(made)
    status, wrong = call("PATCH", f"{made['id']}/", {"url": "http://x/y.git"})
    assert status == 400
    assert list(wrong["error"]["fields"]) == ["url"]
    assert call("PATCH", f"{made['id']}/", {"state": "OK"})[1]["state"] == "NEVER"

    GitRemote.objects.update(next_attempt_at=None, failures=9)
    status, asked = call("POST", f"{made['id']}/push/")
    assert status == 202
    assert asked["next_attempt_at"] is not None
    call("PATCH", f"{made['id']}/", {"is_enabled": False})
    assert call("POST", f"{made['id']}/push/")[0] == 400
    client.force_login(user_with("backups.view_gitremote"))
    assert call("POST", f"{made['id']}/push/")[0] == 403
    assert call("POST", f"{made['id']}/accept-host-key/", {"fingerprint": "x"})[0] == 403
    client.force_login(user_with("backups.view_gitremote", "backups.delete_gitremote"))
    assert call("DELETE", f"{made['id']}/")[0] == 204


def test_the_admin(client: Client, web: None) -> None:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    bot()
    added = client.post(
        reverse("admin:backups_gitremote_add"),
        {"name": "offsite", "url": URL, "credential": Credential.objects.get().pk},
    )
    assert added.status_code == 302
    remote = GitRemote.objects.get()
    assert (remote.is_enabled, remote.next_attempt_at) == (False, None)
    listing = reverse("admin:backups_gitremote_changelist")
    action = {"action": "push_now", "_selected_action": [remote.pk]}
    assert b"left out" in client.post(listing, action, follow=True).content
    GitRemote.objects.update(is_enabled=True)
    client.post(listing, action)
    remote.refresh_from_db()
    assert remote.next_attempt_at is not None
    error = "<script>alert(1)</script>"
    GitRemote.objects.update(error=error)
    for page in (listing, reverse("admin:backups_gitremote_change", args=[remote.pk])):
        shown = client.get(page).content.decode()
        assert error not in shown
        assert PASSWORD not in shown
