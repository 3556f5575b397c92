"""Secrets are put in by every door, devices are read with them, and every outlet is searched."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from psycopg.conninfo import make_conninfo

from inventory.models import Device
from jobs.choices import ResultStatus, Trigger
from jobs.launch import request_run
from jobs.models import DeviceResult
from netraven_site.accounts.roles import Role
from netraven_site.demo.simulator import Fault, FaultKind
from tests.factories import user_in
from tests.support.admin_pages import registered
from tests.support.devices import ThreadedFleet, device_spec, fleet_in_thread
from tests.support.inventory import TAG, add_device, add_job
from tests.support.leaks import Secrets, watched_redis
from tests.support.role_matrix import API, api_questions
from tests.support.waiting import wait_for_end

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("worker", "web")]

LOGIN, ENABLE = "Zq9-CANARY-login-1", "Zq9-CANARY-enable-1"
BAD_ENABLE = "Zq9-CANARY-enable-bad"
#: What each door was given; none may be found anywhere afterwards.
GIVEN: list[str] = [LOGIN, ENABLE, BAD_ENABLE]


def given(name: str) -> str:
    secret = f"Zq9-CANARY-{name}"
    GIVEN.append(secret)
    return secret


@pytest.fixture
def client() -> Client:
    """Somebody who may do everything, with a right to raw copies that is not used."""
    user = user_in(Role.ADMIN)
    user.is_superuser = True
    user.set_password("Correct-horse-battery-1")
    user.save()
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(f"{API}{path}", body, content_type="application/json")
    assert answer.status_code in {200, 201, 202}, (path, answer.content)
    return answer.json()


def through_every_door(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials by API, page, command and import; passwords of users, right and wrong."""
    logins = {"username": "netops", "password": LOGIN, "tags": [TAG]}
    post(client, "credentials/", {"name": "good", "enable_secret": ENABLE, **logins})
    own = {"name": "bad enable", "enable_secret": BAD_ENABLE, **logins, "tags": []}
    post(client, "credentials/", own)
    wrong = {"name": "wrong", "username": "netops", "password": given("wrong-login")}
    post(client, "credentials/", wrong)
    form = {
        "name": "page",
        "username": "u",
        "priority": "7",
        "provider": "stored",
        "password": given("page-password"),
        "enable_secret": given("page-enable"),
        "ssh_key_passphrase": "",
    }
    assert client.post("/admin/credentials/credential/add/", form).status_code == 302
    refused = form | {"name": ";", "password": given("page-refused")}
    assert client.post("/admin/credentials/credential/add/", refused).status_code == 200
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{given('stdin')}\n{given('stdin-enable')}\n"))
    options = ["--username", "u", "--password-stdin", "--enable-stdin"]
    call_command("create_credential", "typed", *options, stdout=io.StringIO())
    imported = {
        "format": "rancid",
        "content": "imported1;cisco;down\n",
        "cloginrc": f"add user * u\nadd password * {given('rancid')} {given('rancid-enable')}\n",
        "with_credentials": True,
    }
    post(client, "devices/import/", imported)
    unreadable = tmp_path / ".cloginrc"
    unreadable.write_text(f"add password * {{{given('rancid-refused')}\n")
    (tmp_path / "router.db").write_text("x;cisco;up\n")
    with pytest.raises(Exception, match="nothing was imported"):
        call_command(
            "import_devices",
            str(tmp_path / "router.db"),
            *("--format", "rancid", "--cloginrc", str(unreadable)),
            stderr=io.StringIO(),
        )
    post(client, "users/", {"username": "anna", "password": given("user-Password-1")})
    for username, password in (("anna", given("guess")), (given("as-username"), given("guess-2"))):
        Client().post("/admin/login/", {"username": username, "password": password})
        Client().post(
            f"{API}token/",
            {"username": username, "password": password},
            content_type="application/json",
        )
    GIVEN.append(post(client, "tokens/", {"name": "program"})["token"])
    remote = {"name": "offsite", "url": "https://127.0.0.1:1/x.git", "credential": "typed"}
    post(client, "git-remotes/", remote)


@pytest.fixture
def fleet() -> Iterator[ThreadedFleet]:
    specs = [
        device_spec(
            "cisco_ios", name, username="netops", password=LOGIN, enable_secret=ENABLE, fault=fault
        )
        for name, fault in {
            "good": None,
            "badlogin": None,
            "badenable": None,
            "silent": Fault(FaultKind.HANG_AFTER_LOGIN),
            "cut": Fault(FaultKind.TRUNCATED),
        }.items()
    ]
    with fleet_in_thread(*specs) as running:
        for spec in specs:
            add_device(spec, *running.address(spec.hostname))
        yield running


def runs(client: Client, fleet: ThreadedFleet) -> None:
    """Good, wrong password, wrong enable secret, silence, a cut text; then a change."""
    for hostname, credential in (("badlogin", "wrong"), ("badenable", "bad enable")):
        device = Device.objects.get(hostname=hostname)
        path = f"{API}devices/{device.pk}/"
        body = {"credential": credential}
        assert client.patch(path, body, content_type="application/json").status_code == 200
    job = add_job()
    run = wait_for_end(request_run(job=job, trigger=Trigger.MANUAL), seconds=90)
    statuses = dict(DeviceResult.objects.filter(run=run).values_list("hostname", "status"))
    assert statuses["good"] == ResultStatus.SUCCEEDED, statuses
    assert statuses["silent"] == statuses["badenable"] == ResultStatus.FAILED, statuses
    assert statuses["cut"] == ResultStatus.SUSPECT, statuses
    fleet.change("good")
    wait_for_end(request_run(job=job, trigger=Trigger.MANUAL), seconds=90)


def answers_of_the_api(client: Client) -> dict[str, bytes]:
    """Every address that can be read, with the rows that its list names."""
    found: dict[str, bytes] = {}
    addresses = [q.address for q in api_questions() if q.method == "GET"]
    for address in addresses:
        if "{" not in address:
            query = "?size=500&q=.&format=json&count=true"
            found[address] = client.get(f"{API}{address}{query}").getvalue()
    for address in addresses:
        parent, brace, rest = address.partition("{id}")
        if not brace or "{" in rest or parent not in found:
            continue
        for row in json.loads(found[parent]).get("results", [])[:9]:
            path = f"{parent}{row['id']}{rest}"
            found[path] = client.get(f"{API}{path}").getvalue()
    for kind in ("csv", "ansible"):
        path = f"devices/export/?format={kind}"
        found[path] = client.get(f"{API}{path}").getvalue()
    return found


def pages_of_the_admin(client: Client) -> dict[str, bytes]:
    """Every list, and the pages of its first rows."""
    found: dict[str, bytes] = {}
    for model in registered():
        root = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        found[root] = client.get(root).getvalue()
        for pk in model._default_manager.values_list("pk", flat=True)[:9]:
            path = f"{root}{quote(str(pk), safe='')}/change/"
            found[path] = client.get(path).getvalue()
    return found


def leaks(secrets: Secrets, texts: dict[str, bytes]) -> dict[str, set[str]]:
    return {place: found for place, text in texts.items() if (found := secrets.found_in(text))}


def database_url() -> str:
    known = ("host", "port", "user", "password", "dbname")
    given = connection.get_connection_params()
    return make_conninfo(**{name: given[name] for name in known if given.get(name)})


def test_no_secret_comes_out_anywhere(
    client: Client,
    fleet: ThreadedFleet,
    git_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    configure: Callable[..., None],
) -> None:
    configure(command_timeout_seconds=2, device_deadline_seconds=20, retry_attempts=1)
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)  # of the devices, not ours
    with watched_redis(settings.CELERY_BROKER_URL) as redis_traffic:
        through_every_door(client, monkeypatch, tmp_path)
        runs(client, fleet)
    printed = {secret for spec in fleet.specs for secret in fleet.secrets(spec.hostname)}
    secrets = Secrets({*GIVEN, *(secret for secret in printed if len(secret) >= 8)})
    assert len(secrets.values) > 20 and User.objects.filter(username="anna").exists()

    assert b"jobs.backup_device" in redis_traffic.text()
    assert secrets.found_in(redis_traffic.text()) == set()
    assert secrets.found_in_redis(settings.CELERY_BROKER_URL) == {}
    assert secrets.found_in_database(database_url()) == {}
    assert secrets.found_in_git(git_directory) == {}
    assert "DEBUG" in caplog.text
    assert secrets.found_in(caplog.text.encode()) == set()

    answers = answers_of_the_api(client)
    assert len(answers) > 60 and b"badlogin" in answers["devices/"]
    assert leaks(secrets, answers) == {}
    pages = pages_of_the_admin(client)
    assert len(pages) > 60
    assert leaks(secrets, pages) == {}
