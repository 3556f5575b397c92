"""The admin shows what became of the tasks that see to runs and the store."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import states
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_celery_results.models import TaskResult

from jobs.models import JobRun
from jobs.tasks import advance, backup_device, dispatch_run, prune
from netraven_site import tasks as site_tasks
from tests.factories import JobRunFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("web")
def test_a_task_leaves_its_name_its_ids_and_how_it_ended(admin_client: Client) -> None:
    run = JobRunFactory.create()
    advance.apply(args=(run.pk,))
    [kept] = TaskResult.objects.all()
    assert (kept.task_name, kept.task_args, kept.status, kept.result) == (
        "jobs.advance_run",
        str(run.pk),
        states.SUCCESS,
        "null",
    )
    listed = admin_client.get(reverse("admin:django_celery_results_taskresult_changelist"))
    assert "jobs.advance_run" in listed.content.decode()


def test_of_an_error_nothing_but_its_class_is_kept() -> None:
    missing = 1 + max(JobRun.objects.values_list("pk", flat=True), default=0)
    dispatch_run.apply(args=(missing,))
    [kept] = TaskResult.objects.all()
    assert (kept.status, kept.result, kept.traceback) == (states.FAILURE, '"DoesNotExist"', None)


def test_devices_have_rows_of_their_own() -> None:
    backup_device.apply(args=(1,))
    assert not TaskResult.objects.exists()


def test_a_result_that_cannot_be_kept_leaves_its_task_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(**_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(site_tasks, "task_result_keep", away)
    assert advance.apply(args=(JobRunFactory.create().pk,)).status == states.SUCCESS


def test_results_go_with_the_logs() -> None:
    for days, left in ((89, 2), (91, 1)):
        TaskResult.objects.all().delete()
        prune.apply()
        TaskResult.objects.update(date_done=timezone.now() - timedelta(days=days))
        prune.apply()
        assert TaskResult.objects.count() == left
