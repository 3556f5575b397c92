"""What a wave puts into the broker, and what becomes of it when a batch fails."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chord
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.chords import chord_send
from jobs.models import DeviceResult
from jobs.sending import send_wave
from jobs.tasks import advance, backup_device
from netraven_site.celery import app
from tests.factories import DeviceFactory, DeviceResultFactory, JobRunFactory, ZoneFactory
from tests.support.queues import messages_taken

QUEUES = ("devices", "zone.dmz")
#: Made anew for each message, or for each chord.
_DRAWN = {"id", "root_id", "task_id", "correlation_id", "delivery_tag", "group", "group_id"}


@contextmanager
def broker() -> Iterator[Any]:
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        yield channel.client


def wave() -> list[DeviceResult]:
    """Results of one run, of devices with a zone and without."""
    run = JobRunFactory.create()
    devices = [DeviceFactory.create(), DeviceFactory.create(zone=ZoneFactory.create(name="dmz"))]
    return [DeviceResultFactory.create(run=run, device=device) for device in devices]


def sent() -> list[Any]:
    """The messages in the queues, taken out, without what is drawn for each of them."""
    with broker() as client:
        raw = [message for queue in QUEUES for message in client.lrange(queue, 0, -1)]
        client.delete(*QUEUES)
    messages = [json.loads(message) for message in raw]
    for message in messages:
        message["body"] = json.loads(base64.b64decode(message["body"]))
    return [_without_drawn(message) for message in messages]


def _without_drawn(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_drawn(one) for key, one in value.items() if key not in _DRAWN}
    return [_without_drawn(one) for one in value] if isinstance(value, list) else value


@pytest.mark.django_db
def test_a_wave_sends_what_a_chord_of_celery_sends() -> None:
    results = wave()
    run_id = results[0].run_id
    messages_taken(*QUEUES)
    send_wave(run_id, results)
    found = sent()
    then = advance.si(run_id).set(queue="control")
    errback = advance.si(run_id).set(queue="control")
    header = []
    for one, queue in zip(results, QUEUES, strict=True):
        label: Any = {"kwargsrepr": f"{{'device': '{one.hostname}', 'run': {run_id}}}"}
        header.append(backup_device.si(one.pk).set(queue=queue, **label))
    chord(header)(then.on_error(errback))
    assert found == sent()
    assert len(found) == 2


@pytest.mark.django_db
def test_a_chord_counts_its_messages_and_each_belongs_to_it() -> None:
    results = wave()
    with broker() as client:
        client.delete(*QUEUES, *client.keys("celery-taskset-meta-*"))
        send_wave(results[0].run_id, results)
        headers = [json.loads(client.lpop(queue))["headers"] for queue in QUEUES]
        [group] = {one["group"] for one in headers}
        assert client.get(f"celery-taskset-meta-{group}.s") == b"2"
    assert len({one["id"] for one in headers}) == 2


def test_a_batch_that_fails_is_sent_message_by_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(pipeline: Pipeline, *_: object, **__: object) -> None:
        raise RedisConnectionError("the server has gone")

    messages_taken(*QUEUES)
    header = [(number, {"queue": "devices"}) for number in range(250)]
    body = advance.si(1).set(queue="control")
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", lost)
        chord_send(task=backup_device, header=header, body=body)
    assert messages_taken(*QUEUES) == Counter({("jobs.backup_device", "devices"): 250})


def test_messages_leave_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    execute = Pipeline.execute

    def counted(pipeline: Any, *arguments: Any, **options: Any) -> Any:
        sizes.append(len(pipeline.command_stack))
        return execute(pipeline, *arguments, **options)

    messages_taken(*QUEUES)
    header = [(number, {"queue": "devices"}) for number in range(250)]
    monkeypatch.setattr(Pipeline, "execute", counted)
    chord_send(task=backup_device, header=header, body=advance.si(1).set(queue="control"))
    assert [size for size in sizes if size > 1] == [100, 100, 50]
    assert messages_taken(*QUEUES) == Counter({("jobs.backup_device", "devices"): 250})
