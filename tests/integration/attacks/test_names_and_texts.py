"""Hostile names and texts: as paths, as commands, as formulas, as scripts."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from backups.engine.config_path import is_config_path
from backups.services.store import RunLabel
from inventory.models import Device
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    UserFactory,
)
from tests.support.git_repository import run_git
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call() -> Call:
    """Ask the API as somebody who may do everything."""
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))

    def ask(method: str, path: str, body: object = None) -> tuple[int, str]:
        text = json.dumps(body)
        answer = client.generic(method, f"/api/v1/{path}", text, content_type="application/json")
        return answer.status_code, answer.getvalue().decode()

    return ask


# --- Paths --------------------------------------------------------------------------------------

HOSTNAMES = [
    "../../etc/passwd",
    "..",
    ".",
    "/etc/passwd",
    "..\\..\\windows",
    ".git",
    ".git/hooks/post-commit",
    "git~1",
    "a\nb",
    "a\x00b",
    "x" * 300,
    "<script>alert(1)</script>",
    "-rf",
    "--upload-pack=touch",
    "~root",
    "CON",
    "{{7*7}}",
    "a\u202eb",
    "%2e%2e%2fetc",
]


def test_a_hostname_is_refused_or_stays_in_the_store(
    call: Call, git_directory: Path, tmp_path: Path
) -> None:
    for hostname in HOSTNAMES:
        body = {"hostname": hostname, "ip_address": "192.0.2.1", "platform": "cisco_ios"}
        status, answer = call("POST", "devices/", body)
        assert status in {201, 400}, (hostname, answer)
        # Past the API, as if there were a door that asks nobody.
        if status == 400 and "\x00" not in hostname and len(hostname) < 255:
            Device.objects.bulk_create([Device(**body)])
    before = {path for path in tmp_path.rglob("*") if git_directory not in path.parents}
    for device in Device.objects.all():
        store(device, "hostname x\nend\n", label=RunLabel(run_id=1, job_name=device.hostname))
    assert {path for path in tmp_path.rglob("*") if git_directory not in path.parents} <= (
        before | {git_directory}
    )
    files = run_git(git_directory, "ls-tree", "-r", "--name-only", "-z", "main").split("\0")
    paths = [path for path in files if path]
    assert len(paths) == Device.objects.count() > 10
    assert all(is_config_path(path) for path in paths), paths
    assert not any((git_directory / "hooks").glob("post-*"))


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\ufeff", "\U000e0041"])
def test_no_name_looks_different_from_what_it_says(call: Call, hidden: str) -> None:
    name = f"core{hidden}1"
    shown = json.dumps(hidden.encode("ascii", "backslashreplace").decode("ascii"))[1:-1]
    CredentialFactory.create(name="login")
    device = {"hostname": "sw1", "ip_address": "192.0.2.1", "platform": "cisco_ios"}
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("devices", device | {"hostname": name}),
        ("devices", device | {"tags": [name]}),
        ("tags", {"name": name}),
        ("credentials", {"name": name, "username": "netops", "password": "p"}),
        ("jobs", {"name": name}),
        ("jump-hosts", {"name": name, "ip_address": "192.0.2.9", "credential": "login"}),
        ("git-remotes", {"name": name, "url": "https://git.example.net/r.git"}),
        ("retention-policies", {"name": name, "tags": ["core"]}),
    ]
    for kind, body in attempts:
        status, answer = call("POST", f"{kind}/", body)
        assert status == 400, (kind, answer)
        assert shown in answer and hidden not in answer


@pytest.mark.parametrize("name", ["../x.bin", "/etc/passwd", "a/b", "..", "a\nb", ".git", "x" * 99])
def test_the_name_of_an_artefact_is_no_path(call: Call, name: str, tmp_path: Path) -> None:
    device = DeviceFactory.create()
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True))
    answer = client.generic(
        "POST",
        f"/api/v1/devices/{device.pk}/artefacts/",
        b"x",
        content_type="application/octet-stream",
        QUERY_STRING=f"name={name}".replace("\n", "%0a"),
    )
    assert answer.status_code in {201, 400}
    assert not list(tmp_path.rglob("x.bin"))
    status, listed = call("GET", "archives/")
    assert status == 200 and "/" not in "".join(
        row["name"] for row in json.loads(listed)["results"]
    )


# --- Commands -----------------------------------------------------------------------------------

DEVICE = {"hostname": "h", "ip_address": "192.0.2.1", "platform": "cisco_ios"}
BODIES: dict[str, dict[str, Any]] = {
    "tags/": {"name": "t", "description": ""},
    "zones/": {"name": "z", "description": ""},
    "credentials/": {"name": "c", "username": "u", "password": "p", "description": ""},
    "devices/": {**DEVICE, "description": "", "zone": "", "tags": ["t"], "transport": "ssh"},
    "jump-hosts/": {"name": "j", "ip_address": "192.0.2.2", "credential": "key"},
    "jobs/": {"name": "n", "cron": "0 2 * * *", "time_zone": "UTC", "tags": ["t"]},
    "git-remotes/": {"name": "r", "url": "https://git.example.net/x.git"},
    "users/": {"username": "somebody", "first_name": "", "email": "", "password": "x"},
    "tokens/": {"name": "program"},
    "platform-detections/": {"device": "h"},
    "devices/import/": {
        "content": "h:ios",
        "format": "oxidized",
        "mapping": "map: {name: 0}",
        "default_user": "u",
    },
}
#: Any of them would make the file ``mark``.
PAYLOADS = [
    "$(touch mark);`touch mark`|touch mark",
    "--upload-pack=touch mark",
    "ext::sh -c touch% mark",
]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of every process that is started."""
    started: list[Any] = []
    begin = subprocess.Popen.__init__

    def noted(self: Any, args: Any, *rest: Any, **options: Any) -> None:
        started.append("shell" if options.get("shell") else args)
        begin(self, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    return started


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, where a command would make it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "mark"


def as_text(value: Any, payload: str) -> Any:
    return [payload] if isinstance(value, list) else payload


@pytest.mark.slow
def test_no_text_field_starts_anything(
    call: Call, mark: Path, git_directory: Path, processes: list[Any]
) -> None:
    CredentialFactory.create(name="key")
    asked = 0
    for path, body in BODIES.items():
        for field, payload in product(body, PAYLOADS):
            status, answer = call("POST", path, body | {field: as_text(body[field], payload)})
            assert status < 500, (path, field, payload, answer)
            asked += 1
    assert asked > 90
    assert processes == [] and not mark.exists()


def test_what_was_stored_becomes_no_command_of_git(
    call: Call, mark: Path, git_directory: Path, processes: list[Any]
) -> None:
    for number, payload in enumerate(PAYLOADS):
        Device.objects.bulk_create([Device(**DEVICE | {"hostname": f"{number}{payload}"})])
        device = Device.objects.get(hostname__startswith=str(number))
        for revision in (1, 2):
            label = RunLabel(run_id=1, job_name=payload)
            store(device, f"! {payload} {revision}\nend\n", label=label)
        for query in (f"config/?revision={payload}", "config/", "diff/", "history/"):
            assert call("GET", f"devices/{device.pk}/{query}")[0] < 500
        for query in (f"q={payload}", f"q=x&hostname={payload}", f"q=x&tag={payload}"):
            assert call("GET", f"search/?{query}")[0] < 500
    assert not mark.exists()
    assert processes
    for arguments in processes:
        assert isinstance(arguments, list) and Path(arguments[0]).name == "git", arguments
        assert not any(str(one).startswith("--upload-pack") for one in arguments)


@pytest.mark.parametrize("secret", ["a\nreload\n", "a\rb", "a\x00b"])
@pytest.mark.parametrize("field", ["username", "password", "enable_secret"])
def test_no_login_types_a_second_line_at_a_prompt(call: Call, field: str, secret: str) -> None:
    body = {"name": "c", "username": "u", "password": "p"}
    status, answer = call("POST", "credentials/", body | {field: secret})
    assert status == 400 and secret not in answer


# --- Formulas -----------------------------------------------------------------------------------

FORMULA = "=cmd|'/c calc'!A1"


def test_no_cell_of_any_csv_is_a_formula(call: Call) -> None:
    run = JobRunFactory.create()
    device = DeviceFactory.create(
        hostname="@SUM(1)", description=FORMULA, tags=["+tag"], platform="cisco_ios"
    )
    DeviceResultFactory.create(run=run, device=device, error_message=FORMULA)
    for path in (f"runs/{run.pk}/report/?format=csv", "devices/export/?format=csv"):
        status, text = call("GET", path)
        assert status == 200 and FORMULA in text
        rows = csv.reader(io.StringIO(text, newline=""))
        assert not [cell for row in rows for cell in row if cell[:1] in set("=+-@\t\r")], path


# --- Scripts ------------------------------------------------------------------------------------

SCRIPT = "<script>alert(1)</script>"
BANNER = f'banner motd ^{SCRIPT}"><img src=x onerror=alert(2)>^'


@pytest.fixture
def hostile_history(git_directory: Path) -> Device:
    """A device that prints scripts, in a job that is named like one."""
    device = DeviceFactory.create(description=SCRIPT, tags=[SCRIPT])
    Device.objects.filter(pk=device.pk).update(hostname=f"x{SCRIPT}", os_version=SCRIPT)
    device.refresh_from_db()
    for number in (1, 2):
        label = RunLabel(run_id=1, job_name=SCRIPT)
        store(device, f"{BANNER}\nhostname {SCRIPT}{number}\nend\n", label=label)
    return device


def test_no_page_runs_what_a_device_or_a_name_says(hostile_history: Device) -> None:
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    device, snapshot = hostile_history, hostile_history.snapshots.latest("pk")
    shown = 0
    for path in (
        "inventory/device/",
        f"inventory/device/{device.pk}/change/",
        f"inventory/device/{device.pk}/history/",
        f"inventory/device/{device.pk}/delete/",
        "inventory/device/?q=script",
        "backups/snapshot/",
        f"backups/snapshot/{snapshot.pk}/change/",
        "credentials/tag/",
        "auditlog/logentry/",
    ):
        answer = client.get(f"/admin/{path}", follow=True)
        text = answer.content.decode()
        assert answer.status_code == 200 and SCRIPT not in text and "<img src=x" not in text, path
        shown += "&lt;script&gt;alert(1)" in text
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "default-src 'none'" in policy
    assert shown >= 5


def test_no_answer_of_the_api_is_taken_for_a_page(call: Call, hostile_history: Device) -> None:
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True))
    snapshot = hostile_history.snapshots.latest("pk")
    for path in (
        f"devices/{hostile_history.pk}/",
        f"devices/{hostile_history.pk}/config/",
        f"devices/{hostile_history.pk}/diff/",
        f"snapshots/{snapshot.pk}/download/",
        "search/?q=script",
        f"devices/?search={SCRIPT}",
        "devices/export/?format=csv",
        f"nowhere/{SCRIPT}/",
    ):
        answer = client.get(f"/api/v1/{path}")
        assert "html" not in answer.headers["Content-Type"], path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        if "csv" in path or "download" in path:
            assert answer.headers["Content-Disposition"].startswith("attachment"), path
            assert "\n" not in answer.headers["Content-Disposition"]
