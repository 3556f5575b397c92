"""What somebody with an account tries: fields that are not theirs, and old or stolen parts."""

from __future__ import annotations

import base64
import json
import re
import secrets
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client

from backups.models import Archive, GitRemote, Snapshot
from credentials.cipher import Cipher, CipherError, parse_keys
from credentials.models import Credential, Tag
from credentials.services import SECRET_FIELDS, credential_context
from inventory.models import Device, JumpHost, Zone
from jobs.models import Job, JobRun
from netraven_site.accounts.roles import Role
from netraven_site.models import ApiToken
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    JobFactory,
    JobRunFactory,
    JumpHostFactory,
    TagFactory,
    UserFactory,
    ZoneFactory,
    user_in,
)
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

#: What a caller is allowed to say, by resource; all other columns of the row stay as they are.
WRITABLE: dict[type[Model], tuple[str, set[str]]] = {
    Tag: ("tags", {"name", "description", "max_sessions", "freshness_hours"}),
    Zone: ("zones", {"name", "description", "host_key_mode", "max_sessions", "default_credential"}),
    Credential: (
        "credentials",
        {
            *("name", "username", "priority", "is_active", "description", "max_sessions"),
            *("provider", "reference"),
        },
    ),
    Device: (
        "devices",
        {
            *("hostname", "ip_address", "port", "platform", "zone", "credential", "description"),
            *("is_active", "transport", "jump_host", "legacy_algorithms"),
            *("connect_timeout_seconds", "login_timeout_seconds", "command_timeout_seconds"),
            "deadline_seconds",
        },
    ),
    JumpHost: (
        "jump-hosts",
        {
            *("name", "ip_address", "port", "credential", "via", "legacy_algorithms"),
            *("max_sessions", "description"),
        },
    ),
    GitRemote: ("git-remotes", {"name", "url", "zone", "credential", "is_enabled"}),
    User: (
        "users",
        {"username", "password", "first_name", "last_name", "email", "is_active", "is_staff"},
    ),
}
#: Written by saving, whatever is said: a changed remote is pushed to at once.
STAMPS = {"updated_at", "next_attempt_at"}
#: Names that attackers of other products used, and values that would do harm.
MORE = {"owner": 1, "state": "PUSHED", "sha": "a" * 40, "attempt": 99, "pk": 1, "user": 1}
HARM = {
    "id": 424242,
    "is_superuser": True,
    "host_key": "ssh-ed25519 AAAA",
    "offered_host_key": "ssh-ed25519 AAAA",
    "groups": [1],
    "user_permissions": [1],
    "created_at": "2000-01-01T00:00:00Z",
    "connection_failures": 7,
    "seal_id": "00000000-0000-0000-0000-000000000000",
}


def row_of(model: type[Model]) -> Model:
    rows: dict[type[Model], Any] = {
        Tag: TagFactory,
        Zone: ZoneFactory,
        Credential: CredentialFactory,
        Device: DeviceFactory,
        JumpHost: JumpHostFactory,
        User: UserFactory,
    }
    if model is GitRemote:
        return GitRemote.objects.create(name="r", url="https://git.example.net/x.git")
    made: Model = rows[model].create()
    return made


def columns(row: Model) -> dict[str, Any]:
    stored = type(row)._default_manager.filter(pk=row.pk).values().get()
    return {
        name: bytes(value) if isinstance(value, memoryview) else value
        for name, value in stored.items()
    }


@pytest.mark.parametrize("model", WRITABLE, ids=lambda model: model.__name__)
def test_no_request_writes_a_column_that_is_not_the_callers(model: type[Model]) -> None:
    row = row_of(model)
    path, allowed = WRITABLE[model]
    before = columns(row)
    guessed = {field.name: 1 for field in model._meta.concrete_fields if field.name not in allowed}
    client = Client()
    client.force_login(user_in(Role.ADMIN))
    body = {**guessed, **MORE, **HARM}
    answer = client.patch(
        f"/api/v1/{path}/{row.pk}/", json.dumps(body), content_type="application/json"
    )
    assert answer.status_code == 200, answer.content
    after = columns(row)
    assert {name for name in before if before[name] != after[name]} <= STAMPS
    assert not type(row)._default_manager.filter(pk=424242).exists()


def test_runs_and_revisions_take_no_orders() -> None:
    run = JobRunFactory.create(job=JobFactory.create())
    snapshot = store(DeviceFactory.create(), "hostname x\nend\n")
    client = Client()
    client.force_login(user_in(Role.ADMIN))
    for path, row in ((f"runs/{run.pk}/", run), (f"snapshots/{snapshot.pk}/", snapshot)):
        before = columns(row)
        for method in ("PUT", "PATCH", "DELETE"):
            text = json.dumps({"status": "COMPLETED_SUCCESS", "commit": "a" * 40})
            answer = client.generic(method, f"/api/v1/{path}", text, "application/json")
            assert answer.status_code in {403, 405}
        assert columns(row) == before
    assert (JobRun.objects.count(), Snapshot.objects.count(), Job.objects.count()) == (1, 1, 1)


def test_a_token_is_made_for_oneself_only() -> None:
    victim = UserFactory.create(is_superuser=True)
    viewer = user_in(Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    body = {"name": "x", "user": victim.pk, "owner": victim.pk, "digest": "0" * 128}
    answer = client.post("/api/v1/tokens/", body, content_type="application/json")
    assert answer.status_code == 201
    made = ApiToken.objects.get()
    assert made.user == viewer and made.digest != "0" * 128


# --- A stolen database and a stolen Git store ----------------------------------------------------

SECRET = "Zq9-CANARY-stolen"


def dumped() -> bytes:
    """Every table of the database, as COPY writes it, with what is binary decoded."""
    parts = []
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for table in tables:
            name = connection.ops.quote_name(table)
            cursor.execute(f"SELECT t::text FROM {name} AS t")  # noqa: S608  # a table of ours
            parts += [row[0] for row in cursor.fetchall()]
    text = "\n".join(parts)
    hexadecimal = re.findall(r"\\x((?:[0-9a-f]{2})+)", text)
    binary = b"".join(bytes.fromhex(found) for found in hexadecimal)
    return text.encode() + binary


def test_without_the_keys_a_stolen_database_opens_nothing() -> None:
    credential = CredentialFactory.create(
        username="netops", password=f"{SECRET}-pw", enable_secret=f"{SECRET}-en"
    )
    store(DeviceFactory.create(), f"snmp-server community {SECRET[4:]}\nend\n")
    raw = Archive.objects.get()
    stolen = dumped()
    assert b"netops" in stolen, "the dump is one"
    for hidden in (f"{SECRET}-pw", f"{SECRET}-en"):
        assert hidden.encode() not in stolen
        assert base64.b64encode(hidden.encode()) not in stolen
    other = Cipher(parse_keys(f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}"))
    for field, column in SECRET_FIELDS.items():
        sealed = getattr(credential, column)
        if sealed is None:
            continue
        context = credential_context(seal_id=credential.seal_id, field=field)
        with pytest.raises(CipherError):
            other.open(bytes(sealed), context=context)
    with pytest.raises(CipherError):
        other.open(bytes(raw.sealed), context="archive")
