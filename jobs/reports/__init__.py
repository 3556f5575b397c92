"""The report of a run as JSON, CSV or readable text, in pieces: a large run is never in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from django.db.models import QuerySet

from inventory.models import Device
from jobs.models import JobRun
from jobs.reports.as_csv import csv_report
from jobs.reports.as_json import json_report
from jobs.reports.as_text import text_report


class ReportFormat(StrEnum):
    """How a report is written. The values are part of the API."""

    JSON = "json"
    CSV = "csv"
    TEXT = "text"


class ReportWriter(Protocol):
    """Writes a run, or what is in ``scope`` of it; None = all of it."""

    def __call__(self, run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes a format, and what the outcome is called."""

    write: ReportWriter
    media_type: str
    suffix: str


WRITERS: Mapping[ReportFormat, Writer] = {
    ReportFormat.JSON: Writer(json_report, "application/json", "json"),
    ReportFormat.CSV: Writer(csv_report, "text/csv; charset=utf-8", "csv"),
    ReportFormat.TEXT: Writer(text_report, "text/plain; charset=utf-8", "txt"),
}

__all__ = ["WRITERS", "ReportFormat"]
