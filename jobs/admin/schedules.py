"""The entries of django-celery-beat in the admin, for superusers.

An entry runs any task with any arguments, so whoever may edit one may do everything.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)


class _ForSuperusers(admin.ModelAdmin):
    """Others see what their permissions let them see, and change nothing."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return super().get_actions(request) if request.user.is_superuser else {}


class PeriodicTaskAdmin(_ForSuperusers, beat_admin.PeriodicTaskAdmin):
    # A list of all times at which anything ever ran once helps nobody.
    raw_id_fields = ["clocked"]


class ClockedScheduleAdmin(_ForSuperusers, beat_admin.ClockedScheduleAdmin):
    pass


class CrontabScheduleAdmin(_ForSuperusers, beat_admin.CrontabScheduleAdmin):
    pass


class IntervalScheduleAdmin(_ForSuperusers, beat_admin.IntervalScheduleAdmin):
    pass


class SolarScheduleAdmin(_ForSuperusers, beat_admin.SolarScheduleAdmin):
    pass


for model, model_admin in {
    PeriodicTask: PeriodicTaskAdmin,
    ClockedSchedule: ClockedScheduleAdmin,
    CrontabSchedule: CrontabScheduleAdmin,
    IntervalSchedule: IntervalScheduleAdmin,
    SolarSchedule: SolarScheduleAdmin,
}.items():
    admin.site.unregister(model)
    admin.site.register(model, model_admin)
