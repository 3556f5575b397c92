"""Moving here from other programs: files of Oxidized, RANCID and NetBox, by command and by API."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from credentials.models import Credential, Tag, TagLimit
from credentials.services import credential_open, tags_ensure
from inventory.api import transfer
from inventory.models import Device, Zone
from netraven_site.accounts.roles import Role
from tests.factories import CredentialFactory, DeviceFactory, JumpHostFactory, user_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

SECRET = "Zq9-CANARY-import"
MAPPING = """
source:
  csv:
    delimiter: !ruby/regexp /:/
    map: {name: 0, ip: 1, model: 2, group: 3, username: 4, password: 5}
    vars_map: {enable: 6}
"""
ROUTER_DB = f"""
core1:192.0.2.1:iosxr:core:oxi:{SECRET}:{SECRET}-en
edge1:192.0.2.2:ios:edge:oxi:{SECRET}:{SECRET}-en
edge2:192.0.2.3:junos:edge:oxi:{SECRET}-2
"""
NETBOX = {
    "results": [
        {
            "name": "sw1",
            "platform": {"slug": "cisco-ios"},
            "primary_ip": {"address": "192.0.2.9/24"},
            "site": {"slug": "berlin"},
            "status": {"value": "active"},
        },
        {"name": "patch-panel-1", "platform": None, "primary_ip": None},
    ]
}


def run(tmp_path: Path, text: str, *options: str) -> str:
    path = tmp_path / "router.db"
    path.write_text(text)
    out = io.StringIO()
    call_command("import_devices", str(path), *options, stdout=out)
    return out.getvalue()


def oxidized(tmp_path: Path, *options: str, text: str = ROUTER_DB) -> str:
    mapping = tmp_path / "config"
    mapping.write_text(MAPPING)
    return run(tmp_path, text, "--format", "oxidized", "--mapping", str(mapping), *options)


def test_oxidized_with_its_logins(tmp_path: Path) -> None:
    out = oxidized(tmp_path, "--tags", "all")
    assert "3 devices were created, 0 updated, 0 unchanged" in out and SECRET not in out
    assert "2 credentials were created: oxidized-oxi, oxidized-oxi-2" in out
    core = Device.objects.get(hostname="core1")
    assert (core.platform, core.ip_address, core.port) == ("cisco_xr", "192.0.2.1", 22)
    assert sorted(tag.name for tag in core.tags.all()) == ["all", "core"]
    edge = Device.objects.get(hostname="edge1")
    assert core.credential == edge.credential
    opened = credential_open(credential=core.credential or pytest.fail("none"))
    assert (opened.password, opened.enable_secret) == (SECRET, f"{SECRET}-en")


def test_importing_again_changes_and_makes_nothing(tmp_path: Path) -> None:
    oxidized(tmp_path)
    before = list(Device.objects.values())
    out = oxidized(tmp_path)
    assert out == "0 devices were created, 0 updated, 3 unchanged\n"
    assert list(Device.objects.values()) == before and Credential.objects.count() == 2


def test_a_dry_run_and_a_bad_line_leave_nothing_behind(tmp_path: Path) -> None:
    assert "3 devices would be created" in oxidized(tmp_path, "--dry-run")
    with pytest.raises(CommandError, match="nothing was imported"):
        oxidized(tmp_path, text=f"{ROUTER_DB}bad name:192.0.2.4:ios:edge:oxi:{SECRET}\n")
    counts = [model.objects.count() for model in (Device, Credential, Tag, Zone)]
    assert counts == [0, 0, 0, 0]


def test_logins_can_be_left_away(tmp_path: Path) -> None:
    out = oxidized(tmp_path, "--without-credentials")
    assert "note: the logins of 3 devices were left out" in out
    assert Credential.objects.count() == 0


def test_what_an_operator_named_like_an_import_is_not_taken_for_one(tmp_path: Path) -> None:
    CredentialFactory.create(name="oxidized-oxi", username="oxi", password="another")
    assert "oxidized-oxi-2, oxidized-oxi-3" in oxidized(tmp_path)


def test_rancid_with_cloginrc(tmp_path: Path) -> None:
    cloginrc = tmp_path / ".cloginrc"
    cloginrc.write_text(
        f"add user * netops\nadd password edge* {{{SECRET}}} {{{SECRET}-en}}\n"
        f"add password * {{{SECRET}-2}}\nadd autoenable * 1\nadd method old* {{telnet}}\n"
    )
    options = ["--format", "rancid", "--cloginrc", str(cloginrc), "--tags", "rancid"]
    lines = "edge1;cisco;up\ncore1;juniper;down;in repair\nold1;foundry;up\n"
    out = run(tmp_path, lines, *options)
    assert "3 devices were created" in out and SECRET not in out
    core, edge, old = Device.objects.order_by("hostname")
    assert (core.is_active, core.description) == (False, "down: in repair")
    assert (edge.is_active, edge.ip_address, edge.platform) == (True, "edge1", "cisco_ios")
    assert (old.transport, old.port) == ("telnet", 23)
    opened = credential_open(credential=edge.credential or pytest.fail("none"))
    assert (opened.password, opened.enable_secret) == (SECRET, None)
    assert core.credential == old.credential != edge.credential


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "csv", "--cloginrc", "FILE"], "cloginrc: this belongs to the format rancid"),
        (["--format", "rancid", "--mapping", "FILE"], "mapping: this belongs to the format oxidi"),
        (["--platform", "ios=cisco_ios"], "platforms: this belongs to the format oxidized or"),
    ],
)
def test_options_that_do_not_belong_to_the_format(
    tmp_path: Path, capsys: Any, options: list[str], words: str
) -> None:
    file = tmp_path / "file"
    file.write_text("map: {name: 0}")
    with pytest.raises(CommandError, match="nothing was imported"):
        run(tmp_path, "x", *[str(file) if one == "FILE" else one for one in options])
    assert words in capsys.readouterr().err


def test_a_platform_option_without_a_name_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="say THEIRS=OURS"):
        run(tmp_path, "x", "--format", "netbox", "--platform", "ios")


# --- The API ------------------------------------------------------------------------------------


def post(user: User, **body: Any) -> tuple[int, Any]:
    client = Client()
    client.force_login(user)
    answer = client.post("/api/v1/devices/import/", body, content_type="application/json")
    return answer.status_code, answer.json()


@pytest.fixture
def operator() -> User:
    return user_in(Role.OPERATOR)


def test_netbox_over_the_api(operator: User) -> None:
    content = json.dumps(NETBOX)
    status, answer = post(operator, format="netbox", content=content, dry_run=True)
    assert (status, answer["dry_run"], answer["created"]) == (200, True, 1)
    assert Device.objects.count() == 0
    status, answer = post(operator, format="netbox", content=content, tags=["netbox"])
    assert (answer["created"], answer["left_out"]) == (
        1,
        ["device 2 ('patch-panel-1'): it has no primary IP address and no platform"],
    )
    device = Device.objects.get()
    assert sorted(tag.name for tag in device.tags.all()) == ["berlin", "netbox"]
    assert post(operator, format="netbox", content=content)[1]["unchanged"] == 0, "a tag less"
    assert post(operator, format="netbox", content=content)[1]["unchanged"] == 1


def test_the_lines_that_are_wrong_are_in_the_one_error_shape(operator: User) -> None:
    lines = "".join(f"bad name{n},x y,ios\n" for n in range(99))
    status, answer = post(operator, content=f"hostname,ip_address,platform\n{lines}")
    assert (status, answer["error"]["code"]) == (400, "invalid")
    problems = answer["error"]["fields"]["content"]
    assert len(problems) == 201 and problems[-1] == "and 97 more"
    assert problems[0].startswith("line 2: ")


def test_only_who_may_add_credentials_makes_them(operator: User) -> None:
    body = {"format": "oxidized", "mapping": MAPPING, "content": ROUTER_DB}
    status, answer = post(operator, **body, with_credentials=True)
    assert status == 403 and "admin role" in answer["error"]["message"]
    limited = user_in(Role.ADMIN)
    TagLimit.objects.create(user=limited).tags.set(tags_ensure(names=["core"]))
    assert post(limited, **body, with_credentials=True)[0] == 403
    assert post(operator, **body)[1]["credentials"] == []
    status, answer = post(user_in(Role.ADMIN), **body, with_credentials=True)
    assert answer["credentials"] == ["oxidized-oxi", "oxidized-oxi-2"]
    assert SECRET not in str(answer)


def test_what_is_too_large_is_not_read(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_IMPORT_BYTES", 10_000)
    status, answer = post(operator, content="x" * 10_000)
    assert (status, answer["error"]["code"]) == (413, "too_large")
    monkeypatch.setattr(transfer, "MAX_IMPORT_DEVICES", 2)
    lines = "".join(f"sw{n},192.0.2.1,cisco_ios\n" for n in range(3))
    status, answer = post(operator, content=f"hostname,ip_address,platform\n{lines}")
    assert status == 400 and "at most 2" in str(answer)


def test_a_limited_user_imports_within_their_tags() -> None:
    user = user_in(Role.OPERATOR)
    TagLimit.objects.create(user=user).tags.set(tags_ensure(names=["berlin"]))
    foreign = DeviceFactory.create(hostname="paris1", tags=["paris"])
    CredentialFactory.create(name="paris-key", tags=["paris"])
    JumpHostFactory.create(name="paris-jump", tags=["paris"])
    head = "hostname,ip_address,platform,tags,zone,credential,jump_host\n"
    for line, words in {
        "b1,192.0.2.1,cisco_ios,paris,,,": "'paris' is none of them",
        "b1,192.0.2.1,cisco_ios,,,,": "at least one",
        "b1,192.0.2.1,cisco_ios,berlin;new,,,": "'new' is none of them",
        "b1,192.0.2.1,cisco_ios,berlin,fresh,,": "you may make none",
        "b1,192.0.2.1,cisco_ios,berlin,,paris-key,": "no credential 'paris-key'",
        "b1,192.0.2.1,cisco_ios,berlin,,,paris-jump": "no jump host 'paris-jump'",
        "PARIS1,192.0.2.6,cisco_ios,berlin,,,": "already a device with this hostname",
    }.items():
        status, answer = post(user, content=head + line)
        assert status == 400 and words in answer["error"]["message"], answer
    status, answer = post(user, format="rancid", content="b2;cisco;up")
    assert status == 400 and "at least one" in str(answer)
    assert post(user, format="rancid", content="b2;cisco;up", tags=["berlin"])[0] == 200
    assert post(user, content=f"{head}b1,192.0.2.1,cisco_ios,Berlin,,,")[0] == 200
    foreign.refresh_from_db()
    assert foreign.ip_address == "192.0.2.1"
    assert {zone.name for zone in Zone.objects.all()} == set()
    assert not Tag.objects.filter(name="new").exists()
