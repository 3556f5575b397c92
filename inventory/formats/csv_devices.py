"""NetRaven's own CSV: the first line names the columns, as an export writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any, Final

from common.csv_output import csv_text
from inventory.formats.records import (
    MAY_BE_EMPTY,
    PARSERS,
    DeviceRecord,
    FileUnreadable,
    Reading,
    quoted,
)

CSV_COLUMNS: Final = (
    "hostname",
    "ip_address",
    "port",
    "platform",
    "tags",
    "zone",
    "description",
    "is_active",
    "transport",
    "credential",
    "jump_host",
    "legacy_algorithms",
    "connect_timeout_seconds",
    "login_timeout_seconds",
    "command_timeout_seconds",
    "deadline_seconds",
)
_REQUIRED_COLUMNS = ("hostname", "ip_address", "platform")


def read_csv(text: str) -> Reading:
    """The devices of a CSV file; columns that it has not leave what is stored as it is.

    Tags are split by ``;``. Raises FileUnreadable for a header that names wrong columns.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    reading = Reading()
    try:
        names = [name.strip().lower() for name in rows.fieldnames or []]
        _check_columns(names)
        rows.fieldnames = names
        for row in rows:
            _read_row(row, f"line {rows.line_num}", reading)
    except csv.Error as error:
        reading.problems.append(f"line {rows.line_num}: not valid CSV: {error}")
    if not reading.records and not reading.problems:
        reading.problems.append("the file has no devices")
    return reading


def _check_columns(names: list[str]) -> None:
    problems = [
        f"line 1: the column '{name}' is missing" for name in _REQUIRED_COLUMNS if name not in names
    ]
    problems += [
        f"line 1: there is no column {quoted(name)}; the columns are {', '.join(CSV_COLUMNS)}"
        for name in names
        if name not in CSV_COLUMNS
    ]
    problems += [
        f"line 1: the column '{name}' stands twice" for name in CSV_COLUMNS if names.count(name) > 1
    ]
    if problems:
        raise FileUnreadable(problems)


def _read_row(row: Mapping[str | Any, str | Any], place: str, reading: Reading) -> None:
    problem = _row_problem(row)
    if problem:
        reading.problems.append(f"{place}: {problem}")
        return
    texts = {name: csv_text(value.strip()) for name, value in row.items()}
    values: dict[str, Any] = {}
    wrong = []
    for name, parse in PARSERS.items():
        if name not in texts or (not texts[name] and name not in MAY_BE_EMPTY):
            continue
        try:
            values[name] = parse(texts[name])
        except ValueError as error:
            wrong.append(f"{place}: {name}: {error}")
    if wrong:
        reading.problems += wrong
        return
    tags = texts.get("tags")
    reading.records.append(
        DeviceRecord(
            place=place,
            hostname=texts["hostname"],
            ip_address=texts["ip_address"],
            platform=texts["platform"],
            tags=None if tags is None else tuple(tags.split(";")),
            zone=texts.get("zone"),
            credential=texts.get("credential"),
            jump_host=texts.get("jump_host"),
            values=values,
        )
    )


def _row_problem(row: Mapping[str | Any, str | Any]) -> str | None:
    if None in row:
        return "there are more values than columns"
    if any(value is None for value in row.values()):
        return "there are fewer values than columns"
    if any("\x00" in value for value in row.values()):
        return "there is a NUL character in it"
    return None
