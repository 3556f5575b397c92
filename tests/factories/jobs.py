"""Jobs, runs and device results."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from factory.declarations import LazyFunction, SelfAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory

from credentials.services import tags_ensure
from jobs.choices import ResultStatus, RunStatus, Trigger
from jobs.models import DetectionState, DeviceResult, Job, JobRun, PlatformDetection
from jobs.schedules import job_save_scheduled
from tests.factories.inventory import DeviceFactory


class JobFactory(DjangoModelFactory[Job]):
    """A job without a schedule; ``tags`` are names."""

    class Meta:
        model = Job

    name = Sequence(lambda number: f"job{number}")

    @classmethod
    def _create(cls, model_class: type[Job], *args: Any, **kwargs: Any) -> Job:
        tags = tags_ensure(names=kwargs.pop("tags", ()))
        return job_save_scheduled(job=Job(**kwargs), tags=tags)


class JobRunFactory(DjangoModelFactory[JobRun]):
    """A run that is under way."""

    class Meta:
        model = JobRun

    job = SubFactory(JobFactory)
    job_name = SelfAttribute("job.name")
    status = RunStatus.RUNNING.value
    trigger = Trigger.MANUAL.value
    started_at = LazyFunction(timezone.now)
    queued_at = LazyFunction(timezone.now)
    deadline_at = LazyFunction(lambda: timezone.now() + timedelta(hours=1))


class DeviceResultFactory(DjangoModelFactory[DeviceResult]):
    """A device that waits for its task in a run that is under way."""

    class Meta:
        model = DeviceResult

    run = SubFactory(JobRunFactory)
    device = SubFactory(DeviceFactory)
    hostname = SelfAttribute("device.hostname")
    status = ResultStatus.PENDING.value
    queued_at = LazyFunction(timezone.now)


class PlatformDetectionFactory(DjangoModelFactory[PlatformDetection]):
    """A detection that has ended: the device runs Arista EOS, for certain."""

    class Meta:
        model = PlatformDetection

    device = SubFactory(DeviceFactory)
    platform_before = SelfAttribute("device.platform")
    state = DetectionState.DONE.value
    certainty = "confirmed"
    platform = "arista_eos"
    evidence = LazyFunction(lambda: ["as 'arista_eos' it says: os_version 4.31.1F"])
    facts = LazyFunction(lambda: {"os_version": "4.31.1F"})
    started_at = LazyFunction(timezone.now)
    finished_at = LazyFunction(timezone.now)
