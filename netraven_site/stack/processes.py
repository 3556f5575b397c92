"""How the processes of NetRaven itself are started: web, workers, beat and Flower."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from celery.utils.nodenames import gethostname

from jobs.queues import (
    CONTROL_QUEUE,
    DEVICES_QUEUE,
    GIT_QUEUE,
    ISOLATED_QUEUE,
    zone_of,
    zone_queue,
)
from netraven_site.config import PROJECT_DIR, Config
from netraven_site.stack.leftovers import MARKER
from netraven_site.stack.ports import LOOPBACK, address_in_url
from netraven_site.stack.supervisor import ProcessSpec, Stage

_WEB_GRACE_SECONDS = 10
#: What a worker takes to hand back its devices and to end, after its sessions had their time.
_WORKER_END_SECONDS = 10
#: Queues of one small pool of threads, which never waits behind devices.
_APART = (CONTROL_QUEUE, GIT_QUEUE)
CONTROL_THREADS = 4
_ISOLATED_PROCESSES = 2
#: A child that hangs is killed: above the longest deadline that may be set, and time to store.
_ISOLATED_SECONDS = 3600 + 60
#: Flower keeps this many tasks in memory.
_FLOWER_TASKS = 10_000
FLOWER_USER = "admin"
#: Each worker would say it in six lines; ``up`` says it once.
_QUIET_ABOUT_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser"}
#: glibc (mallopt(3)) would give each thread an arena of its own and keep what long answers took.
_GIVE_MEMORY_BACK = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "262144",
    "MALLOC_TRIM_THRESHOLD_": "262144",
}


def web(config: Config) -> ProcessSpec:
    """gunicorn with threads; Django is loaded once and shared by its workers."""
    bind = f"{address_in_url(config.web_bind)}:{config.web_port}"
    options = ["--bind", bind, "--worker-class", "gthread", "--preload", "--no-control-socket"]
    options += ["--logger-class", "netraven_site.gunicorn_log.GunicornLog"]
    options += ["--workers", str(config.web_workers), "--threads", str(config.web_threads)]
    options += ["--graceful-timeout", str(_WEB_GRACE_SECONDS), "--log-level", "warning"]
    return ProcessSpec(
        name="web",
        argv=_python("gunicorn", "netraven_site.wsgi:application", *options),
        stage=Stage.FRONT,
        environment=_environment(config),
        directory=Path.cwd(),
        stop_seconds=_WEB_GRACE_SECONDS + 2,
    )


def workers(config: Config) -> list[ProcessSpec]:
    """All workers of a stack: devices, the zones of the configuration, and the small pools."""
    zones = map(zone_queue, config.worker_zones)
    return workers_of(config, [DEVICES_QUEUE, *zones, *_APART, ISOLATED_QUEUE])


def workers_of(config: Config, queues: Sequence[str]) -> list[ProcessSpec]:
    """The workers that serve ``queues``, each queue in the pool that is made for it.

    Devices and zones in threads, one process per core; the small pools apart from them.
    """
    devices = [queue for queue in queues if queue not in {*_APART, ISOLATED_QUEUE}]
    apart = [queue for queue in _APART if queue in queues]
    specs = [
        _worker(
            *(config, f"{_devices_name(devices)}{number}", ",".join(devices)),
            *("threads", config.worker_concurrency),
        )
        for number in range(1, config.worker_processes + 1)
        if devices
    ]
    if apart:
        specs.append(_worker(config, apart[0], ",".join(apart), "threads", CONTROL_THREADS))
    if ISOLATED_QUEUE in queues:
        specs.append(
            _worker(
                *(config, "isolated", ISOLATED_QUEUE, "prefork", _ISOLATED_PROCESSES),
                *("--max-tasks-per-child=1", f"--time-limit={_ISOLATED_SECONDS}"),
            )
        )
    return specs


def _devices_name(queues: Sequence[str]) -> str:
    """``devices``, or ``zone-NAME`` of a worker that reads nothing else."""
    if DEVICES_QUEUE in queues:
        return DEVICES_QUEUE
    return "-".join(["zone", *(zone_of(queue) or queue for queue in queues)])


def node_name(worker: str) -> str:
    """Celery's name of a worker on this machine."""
    return f"{worker}@{gethostname()}"


def beat(config: Config) -> ProcessSpec:
    """The scheduler process. Without a pid file: the supervisor knows its processes."""
    return _celery(config, "beat", Stage.FRONT, "beat", "--pidfile=", "-l", config.log_level)


def syslog(config: Config) -> ProcessSpec:
    """The syslog listener, at the address of the configuration."""
    return ProcessSpec(
        name="syslog",
        argv=(sys.executable, str(PROJECT_DIR / "manage.py"), "syslog"),
        stage=Stage.FRONT,
        environment=_environment(config),
        directory=Path.cwd(),
        stop_seconds=5,
    )


#: ``kwargs`` shows device and run of a task.
_FLOWER_COLUMNS = "name,kwargs,state,result,received,runtime,worker,uuid"


def flower(config: Config, password: str) -> ProcessSpec:
    """Flower on the loopback address, behind a password that is not among the arguments."""
    options = [f"--port={config.flower_port}", f"--address={LOOPBACK}"]
    options += [f"--max_tasks={_FLOWER_TASKS}", "--persistent=False"]
    options += [f"--tasks_columns={_FLOWER_COLUMNS}"]
    secret = {"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password}"}
    return _celery(config, "flower", Stage.FRONT, "flower", *options, extra=secret)


def _worker(
    config: Config, name: str, queues: str, pool: str, concurrency: int, *options: str
) -> ProcessSpec:
    arguments = ["-P", pool, "-c", str(concurrency), "-Q", queues, "-n", node_name(name), "-E"]
    arguments += ["--without-mingle", "--without-gossip", "-l", config.log_level, *options]
    extra = {**_GIVE_MEMORY_BACK, **_QUIET_ABOUT_ROOT}
    return _celery(config, name, Stage.WORKER, "worker", *arguments, extra=extra)


def _celery(
    config: Config,
    name: str,
    stage: Stage,
    command: str,
    *options: str,
    extra: Mapping[str, str] | None = None,
) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        argv=_python("celery", "-q", "-A", "netraven_site", command, *options),
        stage=stage,
        environment={**_environment(config), **(extra or {})},
        directory=Path.cwd(),
        stop_seconds=config.drain_seconds + _WORKER_END_SECONDS if stage is Stage.WORKER else 5,
    )


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _environment(config: Config) -> dict[str, str]:
    """This process's environment. The servers' addresses come from the stack's state file."""
    data_dir = str(config.data_dir.resolve())
    paths = [str(PROJECT_DIR), *filter(None, [os.environ.get("PYTHONPATH")])]
    # What they write goes through ``up`` to its terminal.
    readable = {"NETRAVEN_LOG_FORMAT": "text"} if sys.stdout.isatty() else {}
    return (
        readable
        | os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
            "NETRAVEN_DATA_DIR": data_dir,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            MARKER: data_dir,
        }
    )
