"""What it costs to create a run and to send all its messages, as the run grows.

The devices of each wave are marked as done before the next one is sent, in place of workers; that
is not counted. Each size is dispatched in a process of its own, so that its peak of memory is its
own. Aims for 10 000 devices: 20 s to the last message, 300 MB, and a number of queries per
1 000 devices that does not grow.

    python -m benchmarks.dispatch [--quick] [--devices 1000,3000,10000]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.database import own_database
from benchmarks.fleet import job_over, own_broker
from benchmarks.report import print_versions, sizes_asked_for

_PACKAGES = ("celery", "kombu", "Django", "psycopg", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one dispatch took; times in seconds, memory in MB."""

    create: float
    create_cpu: float
    create_queries: int
    send: float
    send_cpu: float
    send_queries: int
    messages: int
    peak: float
    #: Peak of the same process before it did anything.
    base: float


def main() -> None:
    sizes = sizes_asked_for(__doc__ or "", quick=(1000, 3000))
    print_versions(*_PACKAGES)
    print("devices  create s (CPU)  queries  last message s (CPU)  queries/1000  peak MB (before)")
    with own_database() as data_dir, own_broker(data_dir) as redis_url:
        os.environ["REDIS_URL"] = redis_url
        for count in sizes:
            job = job_over(count)
            figures = _in_process(job.pk)
            if figures.messages != count:
                raise SystemExit(f"{figures.messages} of {count} messages were sent")
            print(
                f"{count:7}  {figures.create:8.2f} ({figures.create_cpu:3.1f})  "
                f"{figures.create_queries:7}  {figures.send:14.2f} ({figures.send_cpu:4.1f})  "
                f"{1000 * figures.send_queries / count:12.1f}  "
                f"{figures.peak:8.0f} ({figures.base:.0f})",
                flush=True,
            )


def _in_process(job_id: int) -> Figures:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(job_id, sender))
    process.start()
    sender.close()
    try:
        return Figures(**json.loads(receiver.recv()))
    except EOFError:
        raise SystemExit("the dispatching process failed") from None
    finally:
        process.join()


def _measure(job_id: int, sender: Any) -> None:
    import django

    django.setup()

    from django.db import connection
    from django.utils import timezone

    from jobs.choices import Trigger
    from jobs.models import Job, JobRun
    from jobs.services.run_creation import run_create
    from jobs.tasks import advance, dispatch_run

    connection.ensure_connection()
    base = _peak()
    queries = _Count()
    with connection.execute_wrapper(queries):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run = run_create(job=Job.objects.get(pk=job_id), trigger=Trigger.COMMAND)
        created, create_cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
        create_queries = queries.taken()
        sent = send_cpu = 0.0
        step = dispatch_run
        send_queries = 0
        while JobRun.objects.get(pk=run.pk).status in ("PENDING", "RUNNING"):
            queries.taken()
            begin, begin_cpu = time.perf_counter(), time.process_time()
            step(run.pk)
            sent += time.perf_counter() - begin
            send_cpu += time.process_time() - begin_cpu
            send_queries += queries.taken()
            sent_for = run.results.filter(status="PENDING", queued_at__isnull=False)
            done = sent_for.update(status="SUCCEEDED", finished_at=timezone.now())
            if not done and step is advance and JobRun.objects.get(pk=run.pk).status == "RUNNING":
                raise SystemExit("devices of the run are sent to no worker")
            step = advance
    figures = {
        "create": created,
        "create_cpu": create_cpu,
        "send_cpu": send_cpu,
        "create_queries": create_queries,
        "send": sent,
        "send_queries": send_queries,
        "messages": _messages(),
        "peak": _peak(),
        "base": base,
    }
    sender.send(json.dumps(figures))


class _Count:
    """Counts the queries of a connection."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, execute: Any, *arguments: Any) -> Any:
        self._count += 1
        return execute(*arguments)

    def taken(self) -> int:
        """How many there were since the last call."""
        count, self._count = self._count, 0
        return count


def _messages() -> int:
    """Messages in the queue of the devices; they are taken away."""
    from netraven_site.celery import app

    with app.connection_for_read() as broker:
        channel: Any = broker.default_channel
        client = channel.client
        count = int(client.llen("devices"))
        client.flushdb()
    return count


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
