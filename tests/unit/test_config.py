"""The typed configuration: every wrong value is one line, no secret is ever shown."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from netraven_site.config import PROJECT_DIR, Config, ConfigurationError
from netraven_site.config_loading import load_config, prepare_embedded_keys

SECRET = "Zq9-CANARY-secret-value"
KEY = base64.b64encode(bytes(32)).decode()
KEYS = {
    "NETRAVEN_SECRET_KEY": "s" * 40,
    "NETRAVEN_ENCRYPTION_KEYS": f"k1:{KEY}",
    "NETRAVEN_REDACTION_KEY": "r" * 20,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that holds nothing but a data directory of this test's own."""
    for name in list(os.environ):
        if name.startswith("NETRAVEN_") or name in {"DATABASE_URL", "REDIS_URL"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRAVEN_DATA_DIR", str(tmp_path / "data"))
    return monkeypatch


def problems() -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_config()
    return str(caught.value).splitlines()


def test_defaults_need_nothing(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load_config()
    assert config.embedded
    assert config.git_directory == tmp_path / "data" / "configs.git"
    assert config.redaction_keywords == ["password", "secret"]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("NETRAVEN_WEB_PORT", "70000", "less than or equal to 65535"),
        ("NETRAVEN_WEB_PORT", "http", "valid integer"),
        ("NETRAVEN_LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("NETRAVEN_DEBUG", "perhaps", "valid boolean"),
        ("NETRAVEN_TIME_ZONE", "../../etc/passwd", "a name such as Europe/Berlin"),
        ("NETRAVEN_ALLOWED_NETWORKS", "10.0.0.1/8", "networks such as 127.0.0.0/8"),
        ("NETRAVEN_CONNECT_TIMEOUT_SECONDS", "nan", "less than or equal to 300"),
        ("NETRAVEN_MINIMUM_SIZE_SHARE", "1.5", "less than or equal to 1"),
        ("NETRAVEN_REDACTION_KEYWORDS", ",", "at least one keyword"),
        ("NETRAVEN_LEASE_SECONDS", "5", "at least twice NETRAVEN_HEARTBEAT_SECONDS (15)"),
        ("NETRAVEN_WAVE_SIZE", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_is_one_line(
    environment: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    environment.setenv(name, value)
    [line] = problems()
    assert line.startswith(f"{name}=")
    assert value in line
    assert allowed in line


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("NETRAVEN_SECRET_KEY", SECRET, "at least 32 characters"),
        ("NETRAVEN_REDACTION_KEY", SECRET[:15], "at least 16 characters"),
        ("NETRAVEN_METRICS_TOKEN", SECRET[:15], "at least 16 characters"),
        ("NETRAVEN_ENCRYPTION_KEYS", SECRET, "entry 1"),
        ("NETRAVEN_ENCRYPTION_KEYS", f"k1:{SECRET}", "not valid base64"),
        ("NETRAVEN_ENCRYPTION_KEYS", "k1:Zq9-", "not valid base64"),
        ("NETRAVEN_ENCRYPTION_KEYS", f"k1:{KEY},k1:{KEY}", "stands twice"),
        ("DATABASE_URL", f"mysql://u:{SECRET}@db/x", "must start with postgresql://"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@db:port/x", "host or port"),
        ("NETRAVEN_DATABASE_URL", f"sqlite://{SECRET}", "must start with postgresql://"),
        ("REDIS_URL", f"http://:{SECRET}@redis", "must start with redis://"),
        ("REDIS_URL", f"redis://:{SECRET}@[::1", "host or port"),
    ],
)
def test_a_wrong_secret_is_explained_and_not_shown(
    environment: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    environment.setenv(name, value)
    [line] = problems()
    assert allowed in line
    assert value not in line and SECRET not in line


def test_a_key_that_cannot_sign_is_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "signing-key"
    environment.setenv("NETRAVEN_GIT_SIGNING_KEY", str(key))
    [line] = problems()
    assert "NETRAVEN_GIT_SIGNING_KEY" in line and "cannot be read" in line
    key.touch(mode=0o644)
    [line] = problems()
    assert "chmod 600" in line


def test_every_wrong_setting_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETRAVEN_WEB_PORT", "0")
    environment.setenv("NETRAVEN_WEB_WORKERS", "0")
    assert [line.partition("=")[0] for line in problems()] == [
        "NETRAVEN_WEB_PORT",
        "NETRAVEN_WEB_WORKERS",
    ]


def test_misspelt_variables_are_named_with_a_hint(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETRAVEN_WEBPORT", SECRET)
    environment.setenv("NETRAVEN_ZZZZZ", "1")
    assert problems() == [
        "NETRAVEN_WEBPORT: there is no such setting; did you mean NETRAVEN_WEB_PORT?",
        "NETRAVEN_ZZZZZ: there is no such setting",
    ]


def test_toml_file_gives_way_to_the_environment(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "netraven.toml"
    file.write_text('web_port = 9000\nwave_size = 7\nallowed_networks = ["127.0.0.0/8"]\n')
    environment.setenv("NETRAVEN_CONFIG", str(file))
    environment.setenv("NETRAVEN_WEB_PORT", "9001")
    config = load_config()
    assert (config.web_port, config.wave_size) == (9001, 7)
    assert [str(network) for network in config.allowed_networks] == ["127.0.0.0/8"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("web_prt = 1", "web_prt: there is no such setting; did you mean web_port?"),
        ("web_port = ", "not a TOML file"),
        (f'secret_key = ["{SECRET}"]', "NETRAVEN_SECRET_KEY=<hidden>"),
        ("time_zone = 3", "NETRAVEN_TIME_ZONE=3"),
    ],
)
def test_wrong_toml_is_explained(
    environment: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "netraven.toml"
    file.write_text(text)
    environment.setenv("NETRAVEN_CONFIG", str(file))
    [line] = problems()
    assert words in line
    assert SECRET not in line


def test_toml_file_that_cannot_be_read(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("NETRAVEN_CONFIG", str(tmp_path / "none.toml"))
    assert problems() == [
        f"NETRAVEN_CONFIG={tmp_path}/none.toml: the file cannot be read (No such file or directory)"
    ]
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    environment.setenv("NETRAVEN_CONFIG", str(tmp_path / "binary.toml"))
    assert "not a TOML file" in problems()[0]


def test_secrets_come_from_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("f" * 40 + "\n")
    environment.setenv("NETRAVEN_SECRET_KEY_FILE", str(file))
    secret = load_config().secret_key
    assert secret is not None and secret.get_secret_value() == "f" * 40

    environment.setenv("NETRAVEN_SECRET_KEY", "s" * 40)
    assert "both set" in problems()[0]

    environment.delenv("NETRAVEN_SECRET_KEY")
    environment.setenv("NETRAVEN_SECRET_KEY_FILE", str(tmp_path / "missing"))
    assert "cannot be read (No such file" in problems()[0]

    file.write_text(SECRET)
    environment.setenv("NETRAVEN_SECRET_KEY_FILE", str(file))
    assert SECRET not in problems()[0]


def test_database_url_comes_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"postgresql://u:{SECRET}@db/netraven\n")
    environment.setenv("DATABASE_URL_FILE", str(file))
    for name, value in KEYS.items():
        environment.setenv(name, value)
    config = load_config()
    assert config.database_url is not None
    assert config.database_url.get_secret_value().endswith("@db/netraven")
    assert not config.embedded


def test_only_secrets_come_from_files(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETRAVEN_WEB_PORT_FILE", "/etc/hostname")
    assert "NETRAVEN_WEB_PORT_FILE: there is no such setting" in problems()[0]


def test_outside_the_embedded_stack_keys_have_no_default(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("DATABASE_URL", "postgresql://u@db/netraven")
    lines = problems()
    assert [line.partition(" ")[0] for line in lines] == list(KEYS)
    assert not (tmp_path / "data").exists()


def test_repr_shows_no_secret(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://u:{SECRET}@db/netraven")
    environment.setenv("REDIS_URL", f"redis://:{SECRET}@redis/0")
    for name, value in KEYS.items():
        environment.setenv(name, value)
    config = load_config()
    shown = repr(config) + str(config)
    assert SECRET not in shown
    assert not any(value in shown for value in KEYS.values())


def test_keys_are_generated_private_and_kept(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = load_config(), load_config()
    assert first.secret_key == second.secret_key
    assert first.encryption_keys == second.encryption_keys
    file = tmp_path / "data" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["keys.json"]


def test_a_given_key_wins_over_a_generated_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("NETRAVEN_REDACTION_KEY", "r" * 20)
    config = load_config()
    assert config.redaction_key is not None
    assert config.redaction_key.get_secret_value() == "r" * 20
    assert config.secret_key is not None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"secret_key": "x"}', "\xff"])
def test_damaged_keys_are_one_line_and_stay(
    environment: pytest.MonkeyPatch, tmp_path: Path, damage: str
) -> None:
    load_config()
    file = tmp_path / "data" / "keys.json"
    file.write_bytes(damage.encode("latin-1"))
    [line] = problems()
    assert "keys.json" in line and "restore the file from a backup" in line
    assert file.read_bytes() == damage.encode("latin-1")


def test_missing_keys_of_a_database_are_not_made_anew(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data" / "postgres").mkdir(parents=True)
    [line] = problems()
    assert "restore the file from a backup" in line
    assert not (tmp_path / "data" / "keys.json").exists()


def test_data_directory_that_cannot_be_used(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file")
    [line] = problems()
    assert line.startswith(f"NETRAVEN_DATA_DIR={tmp_path}/data: the directory cannot be used")


def test_prepare_makes_keys_although_the_database_is_elsewhere(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("DATABASE_URL", "postgresql://u@db/netraven")
    prepare_embedded_keys()
    assert load_config().secret_key is not None


def test_many_processes_make_one_set_of_keys(tmp_path: Path) -> None:
    code = (
        "from netraven_site.config_loading import load_config\n"
        "print(load_config().secret_key.get_secret_value())"
    )
    environment = {"PATH": os.environ["PATH"], "NETRAVEN_DATA_DIR": str(tmp_path / "data")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=PROJECT_DIR,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    keys = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    stored = json.loads((tmp_path / "data" / "keys.json").read_text())["secret_key"]
    assert keys == {stored}


def test_settings_end_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT_DIR,
        env={
            "PATH": os.environ["PATH"],
            "NETRAVEN_DATA_DIR": str(tmp_path),
            "NETRAVEN_SECRET_KEY": SECRET,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        "netraven: NETRAVEN_SECRET_KEY=<hidden> is not allowed: "
        "it must have at least 32 characters\n"
    )


def test_configuration_does_not_change(environment: pytest.MonkeyPatch) -> None:
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.web_port = 1
