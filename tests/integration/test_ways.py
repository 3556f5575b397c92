"""From the rows of a device to the way that a session takes, in the API and in runs."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import HostKeyMode, Transport
from backups.services.sessions import backup_request
from credentials.models import Credential
from credentials.secret import DeviceCredential
from credentials.services import credential_create, tags_ensure
from inventory.models import Device, JumpHost
from inventory.selectors import jump_hosts_of
from inventory.services import device_save, jump_host_save
from jobs.choices import RunStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    JumpHostFactory,
    UserFactory,
    ZoneFactory,
)
from tests.support.inventory import TAG, add_job
from tests.support.ssh_host import ADDRESS, PASSWORD, PLATFORM, USERNAME, SshHost, SshHosts
from tests.support.waiting import wait_for_end

LOGIN = DeviceCredential(name="lab", username="u", password="p")

pytestmark = pytest.mark.django_db


def way(device: Device) -> list[str]:
    return [host.name for host in jump_hosts_of(device_ids=[device.pk])[device.pk]]


def test_way_by_device_then_by_tag() -> None:
    for name in ("b", "a"):
        JumpHostFactory.create(name=name, tags=["branch", "core"])
    own = JumpHostFactory.create(name="own")
    assert way(DeviceFactory.create()) == []
    assert way(DeviceFactory.create(tags=["other"])) == []
    assert way(DeviceFactory.create(tags=["core", "branch"])) == ["a"]
    assert way(DeviceFactory.create(tags=["branch"], jump_host=own)) == ["own"]


def test_way_over_two() -> None:
    outer = JumpHostFactory.create(name="outer")
    JumpHostFactory.create(name="inner", via=outer, tags=["far"])
    assert way(DeviceFactory.create(tags=["far"])) == ["outer", "inner"]


def test_ways_of_many_devices_cost_the_same_queries() -> None:
    outer = JumpHostFactory.create()
    JumpHostFactory.create(via=outer, tags=["far"])
    devices = [DeviceFactory.create(tags=["far"]).pk for _ in range(6)]
    counts = []
    for ids in (devices[:1], devices):
        with CaptureQueriesContext(connection) as captured:
            ways = jump_hosts_of(device_ids=ids)
            assert all(host.credential for hosts in ways.values() for host in hosts)
        counts.append(len(captured))
    assert counts == [4, 4]


def test_circles_and_long_ways_are_refused() -> None:
    outer = JumpHostFactory.create(name="outer")
    inner = JumpHostFactory.create(name="inner", via=outer)
    for host, via, reason in (
        (outer, outer, "itself"),
        (outer, inner, "two are the most"),
        (JumpHost(name="third", ip_address="192.0.2.9"), inner, "two are the most"),
        (outer, JumpHostFactory.create(name="before"), "two are the most"),
    ):
        host.via = via
        host.credential_id = host.credential_id or inner.credential_id
        with pytest.raises(ValidationError, match=reason):
            jump_host_save(jump_host=host)


def test_request_takes_everything_from_the_rows() -> None:
    zone = ZoneFactory.create(host_key_mode=HostKeyMode.STRICT)
    jump = JumpHostFactory.create(
        name="bastion", port=2222, host_key="ssh-ed25519 AAAA", legacy_algorithms=True
    )
    device = DeviceFactory.create(
        zone=zone,
        jump_host=jump,
        transport=Transport.TELNET,
        legacy_algorithms=True,
        connect_timeout_seconds=1.5,
        deadline_seconds=77,
    )
    request = backup_request(device=device, credential=LOGIN)
    target = request.target
    assert (target.transport, target.port) == (Transport.TELNET, 23)
    assert target.legacy_algorithms
    assert target.host_key_mode is HostKeyMode.STRICT
    assert (request.limits.connect_timeout, request.limits.deadline) == (1.5, 77)
    assert request.limits.login_timeout == settings.NETRAVEN.login_timeout_seconds
    (hop,) = target.jumps
    assert (hop.name, hop.address, hop.port) == ("bastion", "192.0.2.2", 2222)
    assert (hop.host_key, hop.legacy_algorithms) == ("ssh-ed25519 AAAA", True)
    assert hop.host_key_mode is HostKeyMode.STRICT
    assert hop.credential.password == "Zq9-CANARY-password"
    assert "CANARY" not in repr(request)


def test_device_without_a_zone_trusts_on_first_use() -> None:
    target = backup_request(device=DeviceFactory.create(), credential=LOGIN).target
    assert target.host_key_mode is HostKeyMode.TOFU
    assert target.jumps == ()


@pytest.mark.parametrize(
    ("known", "mode"), [("ssh-ed25519 AAAA", HostKeyMode.TOFU), ("", HostKeyMode.OFF)]
)
def test_a_zone_that_checks_nothing_still_checks_a_known_jump_host(
    known: str, mode: HostKeyMode
) -> None:
    zone = ZoneFactory.create(host_key_mode=HostKeyMode.OFF)
    device = DeviceFactory.create(zone=zone, jump_host=JumpHostFactory.create(host_key=known))
    target = backup_request(device=device, credential=LOGIN).target
    assert target.host_key_mode is HostKeyMode.OFF
    assert target.jumps[0].host_key_mode is mode


def test_credential_of_a_jump_host_that_cannot_be_used() -> None:
    jump = JumpHostFactory.create(name="bastion")
    device = DeviceFactory.create(jump_host=jump)
    Credential.objects.update(sealed_password=b"damaged")
    with pytest.raises(DeviceError, match="jump host 'bastion'") as damaged:
        backup_request(device=device, credential=LOGIN)
    assert damaged.value.category is ErrorCategory.CREDENTIAL_FAILURE
    Credential.objects.update(is_active=False)
    with pytest.raises(DeviceError, match="inactive") as inactive:
        backup_request(device=device, credential=LOGIN)
    assert inactive.value.category is ErrorCategory.NO_CREDENTIAL


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({}, 22),
        ({"transport": "telnet"}, 23),
        ({"transport": "telnet", "port": 2023}, 2023),
        ({"transport": "ssh", "port": 23}, 23),
    ],
)
def test_telnet_has_its_own_port(fields: dict[str, Any], port: int) -> None:
    device = Device(hostname="r1", ip_address="192.0.2.1", platform="cisco_ios", **fields)
    assert device_save(device=device).port == port


def test_device_that_changes_to_telnet_changes_its_port() -> None:
    device = DeviceFactory.create()
    device.transport = Transport.TELNET
    assert device_save(device=device).port == 23


@pytest.fixture
def call(client: Client, web: None) -> Callable[..., tuple[int, Any]]:
    client.force_login(UserFactory.create(is_superuser=True))

    def send(method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer = client.generic(
            method, f"/api/v1/{path}", json.dumps(body), content_type="application/json"
        )
        return answer.status_code, json.loads(answer.content) if answer.content else None

    return send


def test_jump_hosts_in_the_api(call: Callable[..., tuple[int, Any]]) -> None:
    CredentialFactory.create(name="way-in")
    body = {
        "name": "bastion",
        "ip_address": "192.0.2.7",
        "credential": "way-in",
        "tags": ["b", "a"],
    }
    status, made = call("POST", "jump-hosts/", body)
    assert status == 201
    assert made == body | {
        "id": made["id"],
        "etag": made["etag"],
        "port": 22,
        "via": None,
        "tags": ["a", "b"],
        "legacy_algorithms": False,
        "max_sessions": None,
        "description": "",
        "host_key": "",
        "offered_host_key": "",
    }
    status, inner = call("POST", "jump-hosts/", body | {"name": "inner", "via": "bastion"})
    assert (status, inner["via"]) == (201, "bastion")
    status, answer = call("PATCH", f"jump-hosts/{made['id']}/", {"via": "inner"})
    assert (status, list(answer["error"]["fields"])) == (400, ["via"])
    assert call("DELETE", f"jump-hosts/{made['id']}/")[0] == 409  # somebody goes through it
    assert call("GET", "jump-hosts/?name=inner")[1]["count"] == 1
    assert "CANARY" not in str(call("GET", "jump-hosts/"))


def test_device_fields_in_the_api(call: Callable[..., tuple[int, Any]]) -> None:
    JumpHostFactory.create(name="bastion")
    body = {
        "hostname": "r1",
        "ip_address": "192.0.2.1",
        "platform": "cisco_ios",
        "transport": "telnet",
        "jump_host": "bastion",
        "legacy_algorithms": True,
        "deadline_seconds": 30.5,
    }
    ignored = {"host_key": "x", "model": "x", "skip_reason": "x"}
    status, made = call("POST", "devices/", body | ignored)
    assert status == 201
    assert {name: made[name] for name in body} == body
    assert (made["port"], made["connect_timeout_seconds"]) == (23, None)
    assert (made["host_key"], made["model"], made["skip_reason"]) == ("", "", "")
    status, answer = call("PATCH", f"devices/{made['id']}/", {"transport": "carrier pigeon"})
    assert (status, list(answer["error"]["fields"])) == (400, ["transport"])
    status, answer = call("PATCH", f"devices/{made['id']}/", {"deadline_seconds": 0})
    assert (status, list(answer["error"]["fields"])) == (400, ["deadline_seconds"])


def lab_login(name: str) -> Credential:
    return credential_create(
        name=name, username=USERNAME, password=PASSWORD, tags=tags_ensure(names=[TAG])
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_run_through_a_jump_host_keeps_and_refuses_keys(configure: Callable[..., None]) -> None:
    configure(allowed_networks=(ipaddress.ip_network("127.0.0.0/8"),))
    with SshHosts() as hosts:
        bastion, router = hosts.start(SshHost(forwards=True)), hosts.start(SshHost())
        login = lab_login("lab")
        jump = JumpHostFactory.create(
            name="bastion", ip_address=ADDRESS, port=bastion.port, credential=login, tags=[TAG]
        )
        device = DeviceFactory.create(
            ip_address=ADDRESS, port=router.port, platform=PLATFORM, tags=[TAG]
        )
        job = add_job()
        run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
        assert run.status == RunStatus.COMPLETED_SUCCESS
        device.refresh_from_db()
        jump.refresh_from_db()
        assert device.host_key == router.known_host_key
        assert jump.host_key == bastion.known_host_key

        other = SshHost().known_host_key
        for owner, shown, named in (
            (jump, bastion.known_host_key, "jump host 'bastion'"),
            (device, router.known_host_key, "the device"),
        ):
            type(owner)._default_manager.filter(pk=owner.pk).update(host_key=other)
            run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL))
            result = DeviceResult.objects.get(run=run)
            assert (result.error_category, result.attempts) == ("host_key", 1)
            assert result.error_message.startswith(named)
            owner.refresh_from_db()
            assert (owner.host_key, owner.offered_host_key) == (other, shown)
            type(owner)._default_manager.filter(pk=owner.pk).update(host_key=shown)
