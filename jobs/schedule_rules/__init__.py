"""When jobs start, as pure functions: schedules, their planned times, blackouts, start jitter.

Neither Django nor a database is needed, so every process computes the same times.
"""

from jobs.schedule_rules.blackouts import parse_blackouts
from jobs.schedule_rules.checks import MIN_INTERVAL_SECONDS, check_schedule
from jobs.schedule_rules.cron import parse_cron
from jobs.schedule_rules.errors import ScheduleError
from jobs.schedule_rules.plans import Action, Due, Plan, decide, next_starts
from jobs.schedule_rules.slots import Schedule, last_slot, next_slots, rewound
from jobs.schedule_rules.time_zones import check_time_zone
from jobs.schedule_rules.words import describe

__all__ = [
    "MIN_INTERVAL_SECONDS",
    "Action",
    "Due",
    "Plan",
    "Schedule",
    "ScheduleError",
    "check_schedule",
    "check_time_zone",
    "decide",
    "describe",
    "last_slot",
    "next_slots",
    "next_starts",
    "parse_blackouts",
    "parse_cron",
    "rewound",
]
