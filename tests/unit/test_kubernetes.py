"""The manifests for Kubernetes: valid, confined, and about commands and settings that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.core.management import get_commands
from django.urls import resolve

from jobs import queues
from netraven_site.config import PROJECT_DIR, Config
from netraven_site.config_loading import load_config
from netraven_site.version import VERSION

_FOLDER = PROJECT_DIR / "deploy" / "kubernetes"
_FILES = sorted(set(_FOLDER.glob("*.yaml")) - {_FOLDER / "kustomization.yaml"})
_MANUAL = (PROJECT_DIR / "docs" / "howto" / "kubernetes.md").read_text("utf-8")
_COMPOSE = yaml.safe_load((PROJECT_DIR / "docker-compose.yml").read_text("utf-8"))["services"]
#: What a service of Compose is called here.
_SAME = {
    "worker": "devices",
    "worker-control": "control",
    "worker-isolated": "isolated",
    **{name: name for name in ("beat", "flower", "migrate", "syslog")},
}
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|AUTH|DATABASE_URL|REDIS_URL")


def _documents() -> Iterator[dict[str, Any]]:
    for path in _FILES:
        yield from yaml.safe_load_all(path.read_text("utf-8"))


def _name(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


ALL = list(_documents())
SETTINGS: dict[str, str] = next(one["data"] for one in ALL if one["kind"] == "ConfigMap")


def pod_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """The template of the pods that ``document`` makes; None where it makes none."""
    spec = document.get("spec", {})
    template: dict[str, Any] | None = spec.get("jobTemplate", document)["spec"].get("template")
    return template


PODS: dict[str, dict[str, Any]] = {
    pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["spec"]
    for pod in map(pod_of, (one for one in ALL if one["kind"] in {"Deployment", "Job", "CronJob"}))
    if pod
}
MAIN = {name: pod["containers"][0] for name, pod in PODS.items()}


@pytest.mark.parametrize(
    "document", ALL, ids=lambda one: f"{one['kind']} {one['metadata']['name']}"
)
def test_it_is_what_kubernetes_takes(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_all_parts_are_there_and_in_the_manual() -> None:
    assert set(PODS) == {*_SAME.values(), "web", "backup"}
    chosen = yaml.safe_load((_FOLDER / "kustomization.yaml").read_text("utf-8"))
    assert sorted(chosen["resources"]) == [path.name for path in _FILES]
    assert chosen["images"][0]["newTag"] == VERSION
    assert [path.name for path in _FILES if f"`{path.name}`" not in _MANUAL] == []
    assert {one["metadata"].get("namespace", "netraven") for one in ALL} == {"netraven"}


@pytest.mark.parametrize("name", PODS)
def test_each_pod_is_confined(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    # With the service "netraven-web" they would set NETRAVEN_WEB_PORT to "tcp://…".
    assert pod["enableServiceLinks"] is False
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (
        True,
        10001,
        10001,
    )
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert container["image"] == f"netraven:{VERSION}"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert {"tmp", "secrets"} <= mounted <= {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize(("service", "name"), _SAME.items())
def test_commands_are_those_of_compose(service: str, name: str) -> None:
    """Which the tests of that file start on real servers."""
    command = shlex.split(_DEFAULT.sub(r"\1", _COMPOSE[service]["command"]))
    assert MAIN[name]["command"] == command
    probe = MAIN[name].get("livenessProbe", {}).get("exec")
    if probe:
        assert probe["command"] == _COMPOSE[service]["healthcheck"]["test"][1:]


def test_commands_of_manage_py_exist_and_all_but_the_migration_wait_for_it() -> None:
    for name, pod in PODS.items():
        starts = [one["command"] for one in pod.get("initContainers", ())]
        assert (starts == []) is (name in {"migrate", "backup"})
        for words in (*starts, MAIN[name].get("command", [])):
            found = re.search(r"manage\.py (\w+)", " ".join(words))
            assert found is None or found[1] in get_commands(), words
        assert all(words[1:] == ["manage.py", "migrate", "--check"] for words in starts)


def test_the_workers_take_every_queue_and_have_time_to_end() -> None:
    taken: list[str] = []
    for name in ("devices", "control", "isolated"):
        command = MAIN[name]["command"]
        taken += command[command.index("-Q") + 1].split(",")
        drain = Config.model_fields["drain_seconds"].default
        assert PODS[name]["terminationGracePeriodSeconds"] >= drain + 10
    assert sorted(taken) == sorted(queues.FIXED_QUEUES)


def test_the_settings_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pod's environment starts NetRaven, with the files of the manual's Secret."""
    values = {
        "database_url": "postgresql://netraven:x@db/netraven",
        "redis_url": "rediss://:x@redis/0",
        "secret_key": "s" * 32,
        "encryption_keys": "k1:" + "A" * 43 + "=",
        "redaction_key": "r" * 16,
    }
    for name, value in values.items():
        (tmp_path / name).write_text(value)
        assert f"--from-file={name}=" in _MANUAL
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in [*Config.model_fields, "config"]:
        monkeypatch.delenv(f"NETRAVEN_{name.upper()}", raising=False)
    for container in MAIN.values():
        own = {one["name"]: one.get("value", "from a secret") for one in container.get("env", ())}
        assert container["envFrom"] == [{"configMapRef": {"name": "netraven-settings"}}]
        for name, value in {**SETTINGS, **own}.items():
            monkeypatch.setenv(name, value.replace("/run/secrets/netraven", str(tmp_path)))
        config = load_config()
        assert config.git_writer == "queue" and config.https
        assert config.key("redaction_key") == values["redaction_key"]
        for name in own:
            monkeypatch.delenv(name)


def test_no_secret_stands_in_the_manifests() -> None:
    assert "Secret" not in {one["kind"] for one in ALL}
    for name, value in SETTINGS.items():
        if _SECRET_NAME.search(name):
            assert name.endswith("_FILE") and value.startswith("/run/secrets/netraven/")
    for container in MAIN.values():
        for one in container.get("env", ()):
            assert ("valueFrom" in one) is bool(_SECRET_NAME.search(one["name"])), one
    named = {
        volume["secret"]["secretName"]
        for pod in PODS.values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    assert named == {"netraven-secrets"} and "secret generic netraven-secrets" in _MANUAL


def test_services_lead_to_ports_that_are_listened_on() -> None:
    services = [one for one in ALL if one["kind"] == "Service"]
    assert len(services) == 3
    for service in services:
        name = service["spec"]["selector"]["app.kubernetes.io/component"]
        ports = {port["name"]: port for port in MAIN[name]["ports"]}
        for port in service["spec"]["ports"]:
            listened = ports[port["targetPort"]]
            assert listened.get("protocol", "TCP") == port.get("protocol", "TCP")
            assert str(listened["containerPort"]) in _listening(name)
    syslog = next(one["spec"] for one in services if "syslog" in one["metadata"]["name"])
    assert syslog["externalTrafficPolicy"] == "Local"  # devices are known by their addresses


def _listening(name: str) -> str:
    """Where the port stands on which the container listens."""
    if name == "web":
        image = (PROJECT_DIR / "Dockerfile").read_text("utf-8")
        return " ".join(map(str, re.findall(r"0\.0\.0\.0:\d+", image)))
    own = {one["name"]: one.get("value") for one in MAIN[name].get("env", ())}
    return " ".join([*MAIN[name]["command"], str(own.get("NETRAVEN_SYSLOG_PORT"))])


def test_probes_of_the_web_ask_for_what_there_is() -> None:
    asked = set()
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = MAIN["web"][kind]["httpGet"]
        assert resolve(probe["path"].partition("?")[0])
        headers = {one["name"]: one["value"] for one in probe["httpHeaders"]}
        assert headers["Host"] in SETTINGS["NETRAVEN_ALLOWED_HOSTS"].split(",")
        asked.add((kind, probe["path"]))
    assert ("livenessProbe", "/healthz") in asked and (
        "readinessProbe",
        "/readyz?for=pages",
    ) in asked


def test_only_who_needs_the_git_store_has_it_and_all_of_them_are_on_one_node() -> None:
    having = {
        name
        for name, pod in PODS.items()
        if any("netraven-git" in str(volume) for volume in pod["volumes"])
    }
    assert having == {"web", "control", "backup"}
    for name in having:
        (place,) = [one["mountPath"] for one in MAIN[name]["volumeMounts"] if one["name"] == "git"]
        # A restore builds the new store beside the old one, on the same disk.
        assert str(Path(SETTINGS["NETRAVEN_GIT_PATH"]).parent) == place
        if name != "control":
            (rule,) = PODS[name]["affinity"]["podAffinity"][
                "requiredDuringSchedulingIgnoredDuringExecution"
            ]
            labels = rule["labelSelector"]["matchLabels"]
            assert labels["app.kubernetes.io/component"] == "control"


def test_what_is_asked_for_is_what_the_sizing_table_has_for_a_thousand_devices() -> None:
    manual = (PROJECT_DIR / "docs" / "howto" / "deploy.md").read_text("utf-8")
    (row,) = re.findall(r"\| 1 000 \| \d+ \| (\d+) \| (\d+) GB \| (\d+) . (\d+) \|", manual)
    cores, gigabytes, processes, threads = map(int, row)
    sizes = {
        one["metadata"]["name"]: one["spec"]["replicas"]
        for one in ALL
        if one["kind"] == "Deployment"
    }
    command = MAIN["devices"]["command"]
    assert (sizes["netraven-devices"], command[command.index("-c") + 1]) == (
        processes,
        str(threads),
    )
    cpu = memory = 0
    for name, count in sizes.items():
        requests = MAIN[name.removeprefix("netraven-")]["resources"]["requests"]
        cpu += count * int(requests["cpu"].removesuffix("m"))
        memory += count * int(requests["memory"].removesuffix("Mi"))
    assert 0.5 * cores <= cpu / 1000 <= cores
    assert 0.5 * gigabytes <= memory / 1024 <= gigabytes
