"""The files for deployment say what the product knows: commands, settings, services, headers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from jobs.queues import zone_of
from netraven_site.config import PROJECT_DIR, Config
from netraven_site.version import VERSION

_FOLDER = PROJECT_DIR / "docs" / "deploy"
_UNITS = sorted((_FOLDER / "systemd").iterdir())
_SERVICES = [unit for unit in _UNITS if unit.suffix == ".service"]
_MANUAL = (PROJECT_DIR / "docs" / "howto" / "deploy.md").read_text(encoding="utf-8")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])[^}]*)?\}")
_SETTINGS = {f"NETRAVEN_{name.upper()}" for name in Config.model_fields}


def compose(path: Path) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text("utf-8"))["services"]
    return services


MAIN = compose(PROJECT_DIR / "docker-compose.yml")
OVERLAY = compose(_FOLDER / "compose.remote-zones.yml")
ZONE = compose(_FOLDER / "compose.zone-worker.yml")["worker-zone"]


def unit(path: Path) -> ConfigParser:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


# --- systemd ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", _SERVICES, ids=lambda path: path.name)
def test_each_service_is_confined_and_starts_what_there_is(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] == "netraven"
    for key in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "LockPersonality",
    ):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] in {"", "CAP_NET_BIND_SERVICE"}
    command = service["ExecStart"]
    managed = re.search(r"manage\.py (\w+)", command)
    assert (managed and managed[1] in get_commands()) or " -m " in command, command


def test_everything_waits_for_the_migration() -> None:
    for path in _SERVICES:
        if path.name in ("netraven-migrate.service", "netraven-backup.service"):
            continue
        section = unit(path)["Unit"]
        assert "netraven-migrate.service" in section["Requires"]
        assert "netraven-migrate.service" in section["After"]
        assert section["PartOf"] == "netraven.target"
    migrate = unit(_FOLDER / "systemd" / "netraven-migrate.service")["Service"]
    assert (migrate["Type"], migrate["RemainAfterExit"]) == ("oneshot", "yes")


def test_the_web_is_served_as_in_the_image() -> None:
    """The log, too: ``gunicorn_log`` gives its lines the form of all others."""
    dockerfile = (PROJECT_DIR / "Dockerfile").read_text(encoding="utf-8")
    image = json.loads(dockerfile.rpartition("\nCMD ")[2])
    command = unit(_FOLDER / "systemd" / "netraven-web.service")["Service"]["ExecStart"].split()
    assert set(image) - {"0.0.0.0:8000"} <= set(command)


def test_workers_have_time_to_end() -> None:
    service = unit(_FOLDER / "systemd" / "netraven-worker.service")["Service"]
    drain = Config.model_fields["drain_seconds"].default
    assert int(service["TimeoutStopSec"]) >= drain + 10
    assert service["KillMode"] == "mixed"


def test_systemd_understands_the_units() -> None:
    """Where there is a systemd to ask; only the programs are not here."""
    if shutil.which("systemd-analyze") is None:
        assert all(unit(path).sections() for path in _UNITS)
        return
    for path in _UNITS:
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
        )
        complaints = [
            line
            for line in checked.stderr.splitlines()
            if path.name in line and "is not executable" not in line
        ]
        assert complaints == []


def test_every_unit_is_in_the_manual() -> None:
    for path in _UNITS:
        name = path.name if path.suffix != ".service" else path.stem
        assert name in _MANUAL


# --- Compose ------------------------------------------------------------------------------------


def test_the_overlay_changes_what_there_is() -> None:
    assert OVERLAY.keys() <= MAIN.keys()
    assert set(OVERLAY) == {name for name, service in MAIN.items() if name in OVERLAY}
    for name in ("web", "worker", "worker-zone", "worker-control", "worker-isolated", "beat"):
        assert OVERLAY[name]["environment"] == {"NETRAVEN_GIT_WRITER": "queue"}


def test_redis_of_the_overlay_differs_by_tls_alone() -> None:
    plain = MAIN["redis"]["entrypoint"][-1].splitlines()
    with_tls = OVERLAY["redis"]["entrypoint"][-1].splitlines()
    assert [line for line in with_tls if not line.startswith("tls-")] == plain
    assert "tls-port 6380" in with_tls
    # The port without TLS is published nowhere.
    assert [port.rsplit(":", 2)[-1] for port in OVERLAY["redis"]["ports"]] == ["6380"]


def test_servers_are_published_where_it_was_asked_for() -> None:
    for name in ("postgres", "redis"):
        for port in OVERLAY[name]["ports"]:
            assert port.startswith("${SERVERS_ADDRESS:?")
    for option in MAIN["postgres"]["command"].split(" -c ")[1:]:
        assert option in OVERLAY["postgres"]["command"]
    assert "ssl=on" in OVERLAY["postgres"]["command"]


def test_the_worker_of_a_zone_checks_whom_it_talks_to() -> None:
    environment = ZONE["environment"]
    assert "sslmode=verify-full" in environment["DATABASE_URL"]
    assert environment["REDIS_URL"].startswith("rediss://")
    assert "ssl_cert_reqs=required" in environment["REDIS_URL"]
    assert {name for name in environment if name.startswith("NETRAVEN_")} <= _SETTINGS
    same = ("cap_drop", "security_opt", "read_only", "restart", "stop_grace_period", "healthcheck")
    for name in same:
        assert ZONE[name] == MAIN["worker-zone"][name]
    assert zone_of("zone.dmz") == "dmz"


def test_no_secret_has_a_default_and_every_variable_is_in_the_manual() -> None:
    for name in ("compose.remote-zones.yml", "compose.zone-worker.yml"):
        for variable, kind in _VARIABLE.findall((_FOLDER / name).read_text("utf-8")):
            if re.search("PASSWORD|KEY", variable):
                assert kind == "?", variable
            else:
                assert variable in _MANUAL, variable


# --- the proxy ----------------------------------------------------------------------------------


def test_the_proxy_sets_what_netraven_believes() -> None:
    text = (_FOLDER / "nginx.conf").read_text(encoding="utf-8")
    assert text.count("{") == text.count("}")
    for place in re.findall(r"location [^{]*\{(.*?)\}", text, re.DOTALL):
        assert "proxy_set_header Host $host;" in place
        assert "proxy_set_header X-Forwarded-Proto https;" in place
        assert "proxy_set_header X-Forwarded-For " in place
    (size,) = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(size) * 2**20 > Config.model_fields["max_artefact_bytes"].default


def test_there_is_one_version() -> None:
    project = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION
    assert MAIN["web"]["image"] == ZONE["image"] == f"netraven:{VERSION}"


def test_settings_in_the_manual_exist() -> None:
    named = set(re.findall(r"\bNETRAVEN_[A-Z_]+\b", _MANUAL + (_FOLDER / "nginx.conf").read_text()))
    assert named <= _SETTINGS
