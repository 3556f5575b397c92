"""Accepting and forgetting host keys: services, command, admin and API."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from backups.engine.errors import DeviceError, ErrorCategory, HostKeyRefused
from backups.services.host_keys import host_key_offered
from backups.services.store import RunLabel, backup_store
from inventory.models import Device, HostKeyChange, JumpHost
from inventory.services import HostKeyNotAccepted, host_key_accept, host_key_forget
from tests.factories import (
    DeviceFactory,
    JumpHostFactory,
    UserFactory,
    backup_outcome,
    user_with,
)
from tests.support.ssh_host import SshHost

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

OLD, NEW, NEWER = (SshHost().known_host_key for _ in range(3))


def device(**fields: object) -> Device:
    """A device that has shown NEW in place of OLD."""
    return DeviceFactory.create(**{"host_key": OLD, "offered_host_key": NEW} | fields)


def test_accepting_writes_down_who_and_what() -> None:
    owner = device()
    known, offered = owner.host_key_fingerprint, owner.offered_fingerprint
    host_key_accept(owner=owner, fingerprint=offered, changed_by="mara")
    owner.refresh_from_db()
    assert (owner.host_key, owner.offered_host_key) == (NEW, "")
    change = HostKeyChange.objects.get()
    assert (change.host, change.device, change.changed_by) == (owner.hostname, owner, "mara")
    assert (change.old_fingerprint, change.new_fingerprint) == (known, offered)


def test_fingerprint_without_its_type_is_enough() -> None:
    owner = device()
    _, _, digest = owner.offered_fingerprint.partition(" ")
    assert host_key_accept(owner=owner, fingerprint=digest, changed_by="mara").host_key == NEW


def test_only_the_key_that_somebody_saw_is_accepted() -> None:
    owner = device()
    seen = owner.offered_fingerprint
    Device.objects.update(offered_host_key=NEWER)
    with pytest.raises(HostKeyNotAccepted, match="another key"):
        host_key_accept(owner=owner, fingerprint=seen, changed_by="mara")
    owner.refresh_from_db()
    assert owner.host_key == OLD
    assert not HostKeyChange.objects.exists()


@pytest.mark.parametrize("fingerprint", ["", " "])
def test_nothing_is_accepted_where_nothing_waits(fingerprint: str) -> None:
    owner = device(offered_host_key="")
    with pytest.raises(HostKeyNotAccepted, match="waits"):
        host_key_accept(owner=owner, fingerprint=fingerprint, changed_by="mara")


def test_forgetting_is_written_down() -> None:
    owner = JumpHostFactory.create(host_key=OLD, offered_host_key=NEW)
    host_key_forget(owner=owner, changed_by="mara")
    owner.refresh_from_db()
    assert (owner.host_key, owner.offered_host_key) == ("", "")
    change = HostKeyChange.objects.get()
    assert (change.jump_host, change.device, change.new_fingerprint) == (owner, None, "")
    owner.delete()
    change.refresh_from_db()
    assert (change.jump_host, change.host) == (None, owner.name)


def test_refused_key_waits_for_a_decision() -> None:
    owner, jump = device(offered_host_key=""), JumpHostFactory.create(name="bastion")
    host_key_offered(owner.pk, HostKeyRefused("x", shown=NEW))
    host_key_offered(owner.pk, HostKeyRefused("x", shown=NEWER, jump_host="bastion"))
    host_key_offered(owner.pk, DeviceError(ErrorCategory.AUTHENTICATION, "x"))
    owner.refresh_from_db()
    jump.refresh_from_db()
    assert (owner.offered_host_key, jump.offered_host_key) == (NEW, NEWER)


def test_success_keeps_first_keys_and_clears_old_offers() -> None:
    first = DeviceFactory.create(offered_host_key=NEWER)
    known = device()
    jumps = [
        JumpHostFactory.create(),
        JumpHostFactory.create(host_key=OLD, offered_host_key=NEW),
    ]
    outcome = backup_outcome("a\n", host_key=OLD)
    outcome.jump_host_keys.update({jump.name: OLD for jump in jumps})  # type: ignore[attr-defined]  # a dict
    for owner in (first, known):
        backup_store(device=owner, outcome=outcome, label=RunLabel(run_id=1, job_name="x"))
    for host in (first, known, *jumps):
        host.refresh_from_db()
        assert (host.host_key, host.offered_host_key) == (OLD, "")


@pytest.mark.parametrize("at_jump_host", [False, True])
def test_of_two_first_sessions_with_other_keys_the_second_stores_nothing(
    at_jump_host: bool,
) -> None:
    owner = DeviceFactory.create(host_key="" if at_jump_host else OLD)
    outcome = backup_outcome("a\n", host_key=None if at_jump_host else NEW)
    if at_jump_host:
        jump = JumpHostFactory.create(host_key=OLD)
        outcome.jump_host_keys.update({jump.name: NEW})  # type: ignore[attr-defined]  # a dict
    with pytest.raises(HostKeyRefused, match="nothing was stored") as caught, transaction.atomic():
        backup_store(device=owner, outcome=outcome, label=RunLabel(run_id=1, job_name="x"))
    assert caught.value.shown == NEW
    assert not owner.archives.exists() and not owner.snapshots.exists()


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("host_key", *arguments, stdout=out)
    return out.getvalue()


def test_command_shows_accepts_and_forgets() -> None:
    owner = device(hostname="r1")
    shown = run("R1")
    assert f"known: {owner.host_key_fingerprint}\n" in shown
    assert f"refused: {owner.offered_fingerprint}\n" in shown
    with pytest.raises(CommandError, match="another key"):
        run("r1", "--accept", "SHA256:no")
    assert "is accepted" in run("r1", "--accept", owner.offered_fingerprint)
    assert HostKeyChange.objects.get().changed_by.startswith("command line (")
    run("r1", "--forget")
    assert run("r1") == "known: none\nrefused: none\n"


def test_command_finds_jump_hosts() -> None:
    JumpHostFactory.create(name="both", host_key=OLD)
    assert "known: ssh-ed25519" in run("both")
    DeviceFactory.create(hostname="both")
    assert "known: none" in run("both")
    assert "known: ssh-ed25519" in run("both", "--jump-host")
    with pytest.raises(CommandError, match="no device or jump host 'neither'"):
        run("neither")
    with pytest.raises(CommandError, match="no jump host 'neither'"):
        run("neither", "--jump-host")


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True, username="mara"))
    return client


def act(browser: Client, model: type[Model], **data: object) -> str:
    """What the page says after an action on the rows of ``_selected_action``."""
    address = reverse(f"admin:inventory_{model._meta.model_name}_changelist")
    answer = browser.post(address, data, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("model", [Device, JumpHost])
def test_admin_shows_both_fingerprints_first(browser: Client, model: type[Model]) -> None:
    factory = DeviceFactory if model is Device else JumpHostFactory
    owner = factory.create(host_key=OLD, offered_host_key=NEW)
    chosen = {"action": "accept_host_key", "_selected_action": owner.pk}
    asked = act(browser, model, **chosen)
    assert f"known: {owner.host_key_fingerprint}<br>" in asked
    assert f"new: {owner.offered_fingerprint}\n" in asked
    owner.refresh_from_db()
    assert owner.host_key == OLD
    shown = {f"fingerprint-{owner.pk}": owner.offered_fingerprint, "confirmed": "yes"}
    assert "is accepted" in act(browser, model, **chosen, **shown)
    owner.refresh_from_db()
    assert owner.host_key == NEW
    assert HostKeyChange.objects.get().changed_by == "mara"


def test_admin_accepts_nothing_that_was_not_shown(browser: Client) -> None:
    owner = device()
    stale = {f"fingerprint-{owner.pk}": owner.offered_fingerprint, "confirmed": "yes"}
    Device.objects.update(offered_host_key=NEWER)
    said = act(browser, Device, action="accept_host_key", _selected_action=owner.pk, **stale)
    assert "another key" in said
    owner.refresh_from_db()
    assert owner.host_key == OLD


def test_admin_forgets(browser: Client) -> None:
    owner = device()
    act(browser, Device, action="forget_host_key", _selected_action=owner.pk)
    owner.refresh_from_db()
    assert owner.host_key == ""
    change = HostKeyChange.objects.get()
    page = reverse("admin:inventory_hostkeychange_change", args=[change.pk])
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"host": "x"}).status_code == 403
    assert (
        browser.post(page.removesuffix("change/") + "delete/", {"post": "yes"}).status_code == 403
    )


def test_actions_want_the_right_to_change(client: Client) -> None:
    user = user_with("inventory.view_device")
    user.is_staff = True
    user.save()
    client.force_login(user)
    owner = device()
    for action in ("accept_host_key", "forget_host_key"):
        data = {f"fingerprint-{owner.pk}": owner.offered_fingerprint, "confirmed": "yes"}
        act(client, Device, action=action, _selected_action=owner.pk, **data)
    owner.refresh_from_db()
    assert (owner.host_key, owner.offered_host_key) == (OLD, NEW)


@pytest.mark.parametrize("kind", ["devices", "jump-hosts"])
def test_api_accepts(client: Client, kind: str) -> None:
    factory = DeviceFactory if kind == "devices" else JumpHostFactory
    owner = factory.create(host_key=OLD, offered_host_key=NEW)
    address = f"/api/v1/{kind}/{owner.pk}/accept-host-key/"
    right = owner._meta.model_name
    body = json.dumps({"fingerprint": owner.offered_fingerprint})

    def post(content: str, *rights: str) -> tuple[int, dict[str, object]]:
        client.force_login(user_with(*rights))
        answer = client.post(address, content, content_type="application/json")
        return answer.status_code, answer.json()

    assert post(body, f"inventory.view_{right}", f"inventory.add_{right}")[0] == 403
    may = (f"inventory.view_{right}", f"inventory.change_{right}")
    for wrong in ('{"fingerprint": "SHA256:no"}', "{}", '{"fingerprint": ""}'):
        status, answer = post(wrong, *may)
        assert status == 400
        assert "fingerprint" in str(answer)
    status, answer = post(body, *may)
    assert status == 200
    assert answer["host_key"] == owner.offered_fingerprint
    assert answer["offered_host_key"] == ""
    assert HostKeyChange.objects.get().changed_by.startswith("user")
