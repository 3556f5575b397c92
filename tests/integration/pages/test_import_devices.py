"""Importing devices on a page: all or nothing, every bad line named, limits and rights kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from credentials.models import Credential
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import user_in
from tests.support.pages import few_queries, limited_to, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

PATH = "/devices/import/"
GOOD = b"hostname,ip_address,platform,tags\nsw1,192.0.2.1,cisco_ios,core;lab\n"
BAD = b"hostname,ip_address,platform\nsw1,192.0.2.1,cisco_ios\n<b>sw2</b>,192.0.2.2,cisco_ios\n"
CLOGINRC = b"add user * netops\nadd password * {Zq9-CANARY-login} {Zq9-CANARY-enable}\n"


def upload(data: bytes, name: str = "devices.csv") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


@pytest.fixture
def admin(client: Client) -> User:
    user = user_in(Role.ADMIN)
    client.force_login(user)
    return user


def test_a_good_file_becomes_devices(client: Client, operator: User) -> None:
    with few_queries(40):
        answer = client.post(PATH, {"kind": "csv", "file": upload(GOOD)})
    assert answer.headers["Location"] == "/devices/"
    assert said(answer) == "1 devices created, 0 updated, 0 unchanged."
    assert {tag.name for tag in Device.objects.get(hostname="sw1").tags.all()} == {"core", "lab"}


def test_a_check_changes_nothing(client: Client, operator: User) -> None:
    page = client.post(PATH, {"kind": "csv", "file": upload(GOOD), "check": "1"})
    assert b"would create 1 device," in page.content
    assert not Device.objects.exists()


def test_bad_lines_are_named_and_nothing_is_imported(client: Client, operator: User) -> None:
    page = client.post(PATH, {"kind": "csv", "file": upload(BAD)})
    assert b"line 3" in page.content
    assert b"<b>sw2" not in page.content
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"\xff\xfe\x00", b"no text in UTF-8"), (b"", b"empty"), (b"a" * 9_000_000, b"larger than")],
)
def test_a_file_that_is_no_list_says_why(
    client: Client, operator: User, data: bytes, why: bytes
) -> None:
    assert why in client.post(PATH, {"kind": "csv", "file": upload(data)}).content
    assert not Device.objects.exists()


def test_logins_of_rancid_become_credentials_and_are_not_shown(client: Client, admin: User) -> None:
    given: dict[str, Any] = {
        "kind": "rancid",
        "file": upload(b"sw1.example.net;cisco;up\n", "router.db"),
        "cloginrc": upload(CLOGINRC, ".cloginrc"),
        "with_credentials": "on",
    }
    checked = client.post(PATH, {**given, "check": "1"})
    assert b"CANARY" not in checked.content
    for file in ("file", "cloginrc"):
        given[file].seek(0)
    answer = client.post(PATH, given)
    assert answer.status_code == 302, answer.content.decode()
    assert "1 credentials made" in said(answer)
    assert Credential.objects.count() == 1


def test_an_operator_makes_no_credentials(client: Client, operator: User) -> None:
    if operator.has_perm("credentials.add_credential"):
        pytest.fail("the role has the right: look at this test again")
    given = {"kind": "rancid", "file": upload(b"sw1;cisco;up\n"), "with_credentials": "on"}
    assert client.post(PATH, given).status_code == 403
    assert not Credential.objects.exists()


def test_a_limited_user_has_to_give_a_tag_of_theirs(client: Client, operator: User) -> None:
    limited_to(operator, "core")
    page = client.post(PATH, {"kind": "csv", "file": upload(GOOD)})
    assert b"This field is required" in page.content
    assert not Device.objects.exists()


def test_a_viewer_does_not_import(client: Client) -> None:
    client.force_login(user_in(Role.VIEWER))
    assert client.get(PATH).status_code == 403
    assert client.post(PATH, {"kind": "csv", "file": upload(GOOD)}).status_code == 403
