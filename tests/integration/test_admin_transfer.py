"""Import and export in the admin: all or nothing, by the rules of the forms, without secrets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import NoReverseMatch, reverse

from credentials.models import Credential, Tag
from credentials.services import credential_create, credential_open
from inventory.models import Device, Zone
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, ZoneFactory, user_in
from tests.support.pages import limited_to, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]
TAGS, ZONES = "/admin/credentials/tag/", "/admin/inventory/zone/"
CREDENTIALS, DEVICES = "/admin/credentials/credential/", "/admin/inventory/device/"
FORMULA = '=HYPERLINK("http://192.0.2.9/")'


@pytest.fixture
def log_in(client: Client) -> Callable[[Role], User]:
    def log_in(role: Role) -> User:
        user = user_in(role)
        client.force_login(user)
        return user

    return log_in


def send(client: Client, page: str, text: str | bytes) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    file = SimpleUploadedFile("rows.csv", data)
    return client.post(f"{page}import/", {"format": "0", "import_file": file, "resource": ""})


def exported(client: Client, page: str, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{page}export/{query}")
    assert answer["Content-Type"] == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def problems(answer: Any) -> str:
    text = str(answer.content.decode())
    assert answer.status_code == 200
    assert "Traceback" not in text
    assert "site-packages" not in text
    return text


def test_what_was_exported_can_be_changed_and_imported_again(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    operator = log_in(Role.OPERATOR)
    Tag.objects.create(name="core", description=FORMULA, freshness_hours=6)
    Tag.objects.create(name="edge")
    text = client.get(f"{TAGS}export/").content.decode()
    assert "\"'=HYPERLINK(" in text
    LogEntry.objects.all().delete()
    answer = send(client, TAGS, text.replace(",6", ",8") + "lab,new,3,\r\n")
    assert "1 new, 1 updated, 0 deleted and 1 skipped" in said(answer)
    core, lab = Tag.objects.get(name="core"), Tag.objects.get(name="lab")
    assert (core.freshness_hours, core.description) == (8, FORMULA)
    assert (lab.max_sessions, lab.freshness_hours) == (3, None)
    log = {(entry.object_repr, entry.actor) for entry in LogEntry.objects.all()}
    assert log == {("core", operator), ("lab", operator)}


def test_columns_that_are_left_away_stay_as_they_are(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.OPERATOR)
    Tag.objects.create(name="core", description="backbone", freshness_hours=6)
    send(client, TAGS, "name,freshness_hours\ncore,\n")
    assert Tag.objects.values_list("description", "freshness_hours").get() == ("backbone", None)


def test_bad_lines_are_all_named_and_nothing_is_imported(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.OPERATOR)
    Tag.objects.create(name="Core")
    lines = ["name,freshness_hours", "good,1", "bad,soon", "core,1", "twice,1", "Twice,2", ",1"]
    page = problems(send(client, TAGS, "\n".join(lines)))
    assert "Row 2: freshness_hours: &#x27;soon&#x27; is no whole number." in page
    assert "Row 3: " in page
    assert "Row 5: name: &#x27;Twice&#x27; stands in row 4 already." in page
    assert "Row 6: name: " in page
    assert [tag.name for tag in Tag.objects.all()] == ["Core"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\xff\xfe\x00name", "no text in UTF-8"),
        (b"", "file is empty"),
        (b"name\n", "no rows"),
        (b"name,freshness_hours\ncore\n", "Line 2 has 1 values for 2 columns"),
        (b"name\nco\x00re\n", "NUL"),
        (b'name\n"core\n', "is no CSV"),
        (b"name,colour\ncore,red\n", "no column &#x27;colour&#x27;"),
        (b"name,name\na,b\n", "stands twice"),
        (b"description\nx\n", "&#x27;name&#x27; is missing"),
        (b"name,id\ncore,1\n", "no column &#x27;id&#x27;"),
        (b"name\n" + b"".join(b"t%d\n" % n for n in range(10_001)), "too many at once"),
        (b"name,freshness_hours\ncore,99999999999999999999\n", "no whole number"),
        (b"name\n<script>alert(1)</script>;\n", "Row 1: name"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_plain_words(
    client: Client, log_in: Callable[[Role], User], text: bytes, problem: str
) -> None:
    log_in(Role.OPERATOR)
    page = problems(send(client, TAGS, text))
    assert problem in page
    assert "<script>alert" not in page
    assert not Tag.objects.exists()


def test_credentials_come_and_go_without_their_secrets(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.ADMIN)
    tags = [Tag.objects.create(name="core"), Tag.objects.create(name="edge")]
    credential_create(name="main", username="netops", password="Zq9-secret", tags=tags)
    [row] = exported(client, CREDENTIALS)
    assert row["tags"] == "core;edge"
    assert not {name for name in row if "password" in name or "seal" in name or "key" in name}
    assert "Zq9-secret" not in str(row)
    send(client, CREDENTIALS, "name,username,tags,is_active\nmain,other,edge,no\n")
    main = Credential.objects.get()
    assert (main.username, main.is_active) == ("other", False)
    assert [tag.name for tag in main.tags.all()] == ["edge"]
    assert credential_open(credential=main).password == "Zq9-secret"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("name,username\nnew,x\n", "needs a password or an SSH key"),
        ("name,username,sealed_password\nmain,x,Zq9\n", "no column &#x27;sealed_password&#x27;"),
        ("name,password\nmain,Zq9\n", "no column &#x27;password&#x27;"),
        ("name,seal_id\nmain,00000000-0000-0000-0000-000000000000\n", "no column"),
        ("name,tags\nmain,gone\n", "no tag &#x27;gone&#x27;"),
        ("name,is_active\nmain,maybe\n", "neither true nor false"),
        ("name,provider\nmain,vault\n", "either stored or come from a provider"),
    ],
)
def test_an_import_of_credentials_obeys_their_form(
    client: Client, log_in: Callable[[Role], User], line: str, problem: str
) -> None:
    log_in(Role.ADMIN)
    credential_create(name="main", username="netops", password="Zq9", tags=[])
    before = Credential.objects.values().get()
    assert problem in problems(send(client, CREDENTIALS, line))
    assert Credential.objects.values().get() == before


def test_devices_are_imported_by_the_rules_of_their_page(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.OPERATOR)
    device = DeviceFactory.create(hostname="core", tags=["a", "b"], description=FORMULA)
    [row] = exported(client, DEVICES)
    assert (row["hostname"], row["tags"]) == ("core", "a;b")
    assert row["description"] == f"'{FORMULA}"
    text = client.get(f"{DEVICES}export/").content.decode()
    answer = send(client, DEVICES, text + "edge,192.0.2.7,,cisco_ios,new,,,,,,,,,,,\r\n")
    assert "1 new, 0 updated, 0 deleted and 1 skipped" in said(answer)
    edge = Device.objects.get(hostname="edge")
    assert (edge.port, [tag.name for tag in edge.tags.all()]) == (22, ["new"])
    bad = ["hostname,ip_address,platform", "lab,192.0.2.8,cisco_ios", "x y,192.0.2.9,cisco_ios"]
    page = problems(send(client, DEVICES, "\n".join([*bad, "lab2,1.2.3,nonsense"])))
    assert "line 3: hostname: " in page
    assert "line 4: ip_address: " in page
    assert "line 4: platform: " in page
    assert Device.objects.count() == 2
    assert Device.objects.get(pk=device.pk).description == FORMULA


def test_limited_users_export_and_import_their_devices_only(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    limited_to(log_in(Role.OPERATOR), "wien")
    DeviceFactory.create(hostname="own", tags=["wien"])
    other = DeviceFactory.create(hostname="other", tags=["graz"])
    assert [row["hostname"] for row in exported(client, DEVICES)] == ["own"]
    head = "hostname,ip_address,platform,tags\n"
    for line in ("other,192.0.2.66,cisco_ios,wien\n", "third,192.0.2.66,cisco_ios,graz\n"):
        page = problems(send(client, DEVICES, f"{head}fine,192.0.2.1,cisco_ios,wien\n{line}"))
        assert "line 3: " in page
    assert Device.objects.count() == 2
    assert Device.objects.get(pk=other.pk).ip_address == other.ip_address
    assert client.get(f"{TAGS}import/").status_code == 403


def test_an_export_has_what_the_filters_of_the_list_leave(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.VIEWER)
    DeviceFactory.create(hostname="core", platform="cisco_ios")
    DeviceFactory.create(hostname="edge", platform="juniper_junos")
    assert [row["hostname"] for row in exported(client, DEVICES, "?q=edg")] == ["edge"]


def test_names_of_credentials_are_for_those_who_see_them(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    credential = credential_create(name="main", username="u", password="Zq9", tags=[])
    zone = ZoneFactory.create(name="dmz")
    Zone.objects.filter(pk=zone.pk).update(default_credential=credential)
    log_in(Role.OPERATOR)
    assert exported(client, ZONES)[0]["default_credential"] == "main"
    page = problems(send(client, ZONES, "name,default_credential\ndmz,gone\n"))
    assert "no credential &#x27;gone&#x27;" in page
    assert "1 updated" in said(send(client, ZONES, "name,default_credential\ndmz,\n"))
    Zone.objects.filter(pk=zone.pk).update(default_credential=credential)
    log_in(Role.VIEWER)
    assert exported(client, ZONES)[0]["default_credential"] == ""


@pytest.mark.parametrize(
    ("role", "page", "imports", "exports"),
    [
        (Role.VIEWER, TAGS, 403, 200),
        (Role.VIEWER, DEVICES, 403, 200),
        (Role.VIEWER, CREDENTIALS, 403, 403),
        (Role.OPERATOR, CREDENTIALS, 403, 200),
        (Role.OPERATOR, ZONES, 200, 200),
        (Role.ADMIN, CREDENTIALS, 200, 200),
    ],
)
def test_who_may_do_which(
    client: Client,
    log_in: Callable[[Role], User],
    role: Role,
    page: str,
    imports: int,
    exports: int,
) -> None:
    log_in(role)
    assert client.get(f"{page}import/").status_code == imports
    assert (send(client, page, "name\nx\n").status_code == 403) == (imports == 403)
    assert client.get(f"{page}export/").status_code == exports


def test_there_is_no_second_step_that_would_read_files_of_the_server(
    client: Client, log_in: Callable[[Role], User]
) -> None:
    log_in(Role.ADMIN)
    step = {"import_file_name": "/etc/passwd", "original_file_name": "x", "format": "0"}
    assert client.post(f"{TAGS}process_import/", step).status_code == 302
    with pytest.raises(NoReverseMatch):
        reverse("admin:credentials_tag_process_import")
