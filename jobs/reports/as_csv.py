"""The report of a run as CSV: one line per device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, fields

from django.db.models import QuerySet

from common.csv_output import csv_lines
from inventory.models import Device
from jobs.models import JobRun
from jobs.selectors.reports import DeviceRow, run_device_rows


def csv_report(run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[str]:
    """The lines, the header first; run and job stand in each of them."""
    header = ["run_id", "job_name", *(field.name for field in fields(DeviceRow))]
    devices = run_device_rows(run=run, scope=scope)
    rows = ((run.pk, run.job_name, *_cells(row)) for row in devices)
    return csv_lines(header, rows)


def _cells(row: DeviceRow) -> Iterator[object]:
    for cell in astuple(row):
        yield cell.isoformat() if hasattr(cell, "isoformat") else cell
