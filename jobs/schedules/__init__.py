"""Jobs that start by themselves.

The rows decide what is due, and when; the entries of django-celery-beat only ring.
"""

from jobs.schedules.entries import entries_repair, job_delete, job_save_scheduled
from jobs.schedules.slots import launch_scheduled, slot_answer, slots_answer

__all__ = [
    "entries_repair",
    "job_delete",
    "job_save_scheduled",
    "launch_scheduled",
    "slot_answer",
    "slots_answer",
]
