"""Any number of devices, with what a run over them needs, and a broker for it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netraven_site.stack.redis import EmbeddedRedis
from netraven_site.stack.supervisor import Supervisor
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from jobs.models import Job

TAG = "bench"
_BATCH = 1000


@contextmanager
def own_broker(data_dir: Path) -> Iterator[str]:
    """An embedded Redis with its data in ``data_dir``; gives its URL, which Celery uses from then.

    Only inside ``own_database``: settings are loaded there.
    """
    from netraven_site.celery import app
    from netraven_site.results import backend_url

    redis = EmbeddedRedis(data_dir, secrets.token_urlsafe(16))
    supervisor = Supervisor(log_directory=data_dir / "log", say=print)
    try:
        redis.prepare()
        supervisor.start(redis.spec())
        wait_for(redis.answers, "Redis answers")
        app.conf.update(broker_url=redis.url, result_backend=backend_url(redis.url))
        yield redis.url
    finally:
        supervisor.stop()


def job_over(count: int) -> Job:
    """A job over ``count`` devices of its own, which have a credential."""
    from credentials.models import Credential
    from credentials.services import credential_create, tags_ensure
    from inventory.models import Device
    from jobs.models import Job
    from jobs.schedules import job_save_scheduled

    tags = tags_ensure(names=[f"{TAG}-{count}"])
    devices = Device.objects.bulk_create(
        (
            Device(
                hostname=f"sw{count}-{number:05}",
                ip_address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                platform="cisco_ios",
            )
            for number in range(count)
        ),
        batch_size=_BATCH,
    )
    through = Device.tags.through
    through.objects.bulk_create(
        (through(device_id=device.pk, tag_id=tag.pk) for device in devices for tag in tags),
        batch_size=_BATCH,
    )
    if not Credential.objects.filter(name=f"{TAG}-{count}").exists():
        credential_create(
            name=f"{TAG}-{count}", username=TAG, password=secrets.token_urlsafe(12), tags=tags
        )
    return job_save_scheduled(job=Job(name=f"{TAG}-{count}"), tags=tags)
