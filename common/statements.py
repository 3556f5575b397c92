"""Statements that Django builds once in a process, for what every backup asks and writes.

Building one takes Django several times as long as sending it (docs/adr/0031). Here only values are
put into a statement that was built before, and rows become the same objects as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any, Generic, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model, QuerySet, expressions
from django.db.models.constants import OnConflict
from django.db.models.expressions import DatabaseDefault
from django.db.models.query import get_related_populators
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.transaction import TransactionManagementError

_M = TypeVar("_M", bound=Model)
#: What a value of a statement may be.
Value = int | str | bytes | datetime | timedelta
Kind = type[int] | type[str] | type[bytes] | type[datetime] | type[timedelta]
#: Stand for the values while a statement is built; nothing else in one is like them. A number fits
#: into the smallest column.
_FIRST_NUMBER = 31_337
_TEXT = "\ue000{}\ue000"
_YEAR = 9000


class NotAStatement(TypeError):
    """A statement cannot be built once for all values; the message says why."""


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What is sent with a statement: the name of a value or, without one, what always stands."""

    places: Sequence[tuple[str | None, Any]]

    def of(self, values: Mapping[str, Value]) -> list[Any]:
        return [fixed if name is None else values[name] for name, fixed in self.places]


@dataclass(frozen=True, slots=True)
class _Built:
    """A query, and how its rows become objects."""

    sql: str
    parameters: _Parameters
    locks: bool
    model: type[Model]
    columns: slice
    attributes: Sequence[str]
    annotations: Mapping[str, int]
    related: Sequence[Any]

    def object(self, row: Sequence[Any]) -> Any:
        made = self.model.from_db(DEFAULT_DB_ALIAS, self.attributes, row[self.columns])
        for populator in self.related:
            populator.populate(row, made)
        for name, place in self.annotations.items():
            setattr(made, name, row[place])
        return made


class Statement(Generic[_M]):
    """A query for rows of one model, with names for the values that differ.

    ``build`` makes it out of those values and does nothing with them but compare columns to them.
    ``kinds`` says for each name what the value is.
    """

    def __init__(self, build: Callable[..., QuerySet[_M]], **kinds: Kind) -> None:
        self._build = build
        self._kinds = kinds

    def all(self, **values: Value) -> list[_M]:
        """The rows, as the query itself would give them.

        Raises TransactionManagementError for a query that locks rows outside of a transaction.
        """
        built = self._built
        if built.locks and connection.get_autocommit():
            raise TransactionManagementError("rows are locked in a transaction only")
        with connection.cursor() as cursor:
            cursor.execute(built.sql, built.parameters.of(values))
            rows = cursor.fetchall()
        return [built.object(row) for row in rows]

    def first(self, **values: Value) -> _M | None:
        """The first row, or None when there is none. The query itself bounds their number.

        Raises as :meth:`all` does.
        """
        return next(iter(self.all(**values)), None)

    @cached_property
    def _built(self) -> _Built:
        samples = _samples(self._kinds)
        query = self._build(**samples).query
        compiler = query.get_compiler(DEFAULT_DB_ALIAS)
        sql, values = compiler.as_sql()
        if compiler.get_converters(column for column, _, _ in compiler.select):
            raise NotAStatement("a column of the query is converted")
        fields = compiler.klass_info["select_fields"]
        columns = slice(fields[0], fields[-1] + 1)
        return _Built(
            sql=sql,
            parameters=_named(values, samples),
            locks=query.select_for_update,
            model=compiler.klass_info["model"],
            columns=columns,
            attributes=[column.target.attname for column, _, _ in compiler.select[columns]],
            annotations=compiler.annotation_col_map or {},
            related=get_related_populators(  # type: ignore[call-arg]  # stubs of another release
                compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS
            ),
        )


class Update:
    """An update of rows of one model, with names for the values that differ.

    ``build`` gives the rows and what is written into them, as ``QuerySet.update`` takes it, and
    does nothing with the values but hand them on. ``kinds`` says for each name what the value is.
    """

    def __init__(
        self, build: Callable[..., tuple[QuerySet[Any], Mapping[str, Any]]], **kinds: Kind
    ) -> None:
        self._build = build
        self._kinds = kinds

    def run(self, **values: Value) -> int:
        """Write it; gives the number of rows."""
        sql, parameters = self._built
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters.of(values))
            return int(cursor.rowcount)

    @cached_property
    def _built(self) -> tuple[str, _Parameters]:
        samples = _samples(self._kinds)
        rows, fields = self._build(**samples)
        query = rows.query.chain(UpdateQuery)
        query.clear_ordering(force=True)
        query.add_update_values(fields)  # type: ignore[attr-defined]  # not in the stubs
        sql, values = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return sql, _named(values, samples)


def insert(row: Model) -> None:
    """Insert ``row``, which has no key yet and gets it, like ``row.save(force_insert=True)``.

    No signal is sent. Raises NotAStatement for a column that is left to a default which the
    database computes.
    """
    sql, fields = _insertion(type(row))
    values = [_prepared(field, row) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


class Upsert:
    """Rows of ``model`` that are inserted, or change those that have the same ``key``.

    ``key`` names the fields of a unique constraint, ``changing`` those that are written into a row
    that is there. All rows go in one statement. No signal is sent and no row gets its key.
    """

    def __init__(self, model: type[Model], *, key: Sequence[str], changing: Sequence[str]) -> None:
        self._model = model
        self._key = key
        self._changing = changing

    def run(self, rows: Sequence[Model]) -> None:
        """Write ``rows``; two of them with the same key are refused by the database."""
        if not rows:
            return
        sql, fields = self._built
        columns = [[_prepared(field, row) for row in rows] for field in fields]
        with connection.cursor() as cursor:
            cursor.execute(sql, columns)

    @cached_property
    def _built(self) -> tuple[str, Sequence[Field[Any, Any]]]:
        field_of = self._model._meta.get_field
        query = InsertQuery(
            self._model,
            on_conflict=OnConflict.UPDATE,
            update_fields=[field_of(name) for name in self._changing],
            unique_fields=[field_of(name) for name in self._key],
        )
        fields = _columns(self._model)
        # Of one row Django would make a list of values, of several an array for each column.
        query.insert_values(fields, [self._model(), self._model()], raw=True)
        ((sql, values),) = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        if len(values) != len(fields):
            raise NotAStatement(f"{self._model.__name__} has a column that takes no array")
        return sql, fields


def _prepared(field: Field[Any, Any], row: Model) -> Any:
    """The value of one column of ``row`` as it is sent."""
    value = _given(field.pre_save(row, add=True))
    return field.get_db_prep_save(value, connection=connection)


def _columns(model: type[Model]) -> Sequence[Field[Any, Any]]:
    """The columns that a new row is given: all but its key."""
    return [field for field in model._meta.local_concrete_fields if not field.primary_key]


def _given(value: Any) -> Any:
    """``value``, or the constant that the database would put in its place."""
    if not isinstance(value, DatabaseDefault):
        return value
    default: Any = value.expression  # type: ignore[attr-defined]  # not in the stubs
    if not isinstance(default, expressions.Value):
        raise NotAStatement("the database computes the default of a column; give a value")
    return default.value


@cache
def _insertion(model: type[Model]) -> tuple[str, Sequence[Field[Any, Any]]]:
    """The statement that inserts a row of ``model`` and gives its key, and the fields it takes."""
    fields = _columns(model)
    query = InsertQuery(model)
    # Without a value Django would write DEFAULT, which leaves no place for one.
    defaults = {field.attname: None for field in fields if field.has_db_default()}
    query.insert_values(fields, [model(**defaults)], raw=True)
    compiler = query.get_compiler(DEFAULT_DB_ALIAS)
    compiler.returning_fields = [model._meta.pk]
    ((sql, _),) = compiler.as_sql()
    return sql, fields


def _samples(kinds: Mapping[str, Kind]) -> dict[str, Value]:
    return {name: _sample(kind, number) for number, (name, kind) in enumerate(kinds.items())}


def _sample(kind: Kind, number: int) -> Value:
    if kind is int:
        return _FIRST_NUMBER + number
    if kind is timedelta:
        return timedelta(days=_FIRST_NUMBER + number)
    text = _TEXT.format(number)
    if kind is str:
        return text
    if kind is bytes:
        return text.encode()
    return datetime(_YEAR + number, 1, 1, tzinfo=UTC)


def _named(values: Sequence[Any], samples: Mapping[str, Value]) -> _Parameters:
    """``values`` of a statement that was built with ``samples``, with the names of these."""
    names = {sample: name for name, sample in samples.items()}
    bare = [value.obj if isinstance(value, psycopg.Binary) else value for value in values]
    places = [(names.get(value) if isinstance(value, Value) else None, value) for value in bare]
    if {name for name, _ in places} - {None} != set(samples):
        raise NotAStatement("a value does not stand in the statement as it was given")
    return _Parameters(places)
