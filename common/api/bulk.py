"""Many rows in one request: all of them, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, cast

from django.db import transaction
from django.db.models import F, Model, QuerySet
from django.db.models.functions import Lower
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.errors import as_api_error, error_fields, error_message, told
from common.api.naming import NamingSerializer, model_of
from common.api.permissions import MayChangeModel, MayDeleteModel

_M = TypeVar("_M", bound=Model)
#: As many as a page has at the most.
MOST_ENTRIES = 500
_MOST_TOLD = 10


def _id_field() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class BulkQuerySerializer(serializers.Serializer[Any]):
    """What becomes of entries that are there already."""

    upsert = serializers.BooleanField(
        default=False,
        help_text="Change rows that are there already under this name, instead of refusing them.",
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two rows",
            request_only=True,
            value={"ids": [1, 2]},
        )
    ]
)
class IdsSerializer(serializers.Serializer[Any]):
    """Which rows are deleted."""

    ids = serializers.ListField(child=_id_field(), allow_empty=False, max_length=MOST_ENTRIES)


class EntrySerializer(serializers.Serializer[Any]):
    """Which row an entry changes, and in which state that row has to be."""

    id = _id_field()
    etag = serializers.CharField(required=False, max_length=64)


class DeletedSerializer(serializers.Serializer[Any]):
    """How many rows were deleted."""

    deleted = serializers.IntegerField()


class BulkRefused(exceptions.APIException):
    """Some entries are wrong, and so nothing was changed.

    ``fields`` names each wrong field as ``PLACE.FIELD``, where the first place is 0, or only its
    place when no field is at fault. The status is that of the entries' errors if they all have the
    same, and 400 otherwise.
    """

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        self.fields: dict[str, list[str]] = {}
        for place, error in errors.items():
            messages = error_fields(error) or {"non_field_errors": [error_message(error)]}
            for field, texts in messages.items():
                self.fields[_place(place, field)] = texts
        same = {(_status(error), _code(error)) for error in errors.values()}
        shared = same.pop() if len(same) == 1 else (status.HTTP_400_BAD_REQUEST, "invalid")
        self.status_code, self.default_code = shared
        first = dict(list(self.fields.items())[:_MOST_TOLD])
        noun = "entry is" if len(errors) == 1 else "entries are"
        super().__init__(f"{len(errors)} {noun} wrong, so nothing was changed. {told(first)}")


def _place(place: int, field: str) -> str:
    return f"{place}" if field == "non_field_errors" else f"{place}.{field}"


def _status(error: Exception) -> int:
    return int(getattr(error, "status_code", status.HTTP_400_BAD_REQUEST))


def _code(error: Exception) -> str:
    return str(getattr(error, "default_code", "invalid"))


class BulkActions(viewsets.GenericViewSet[_M]):
    """Making, changing and deleting many rows, with the checks and traces that single ones have."""

    #: For the description of the API.
    bulk_query_class = BulkQuerySerializer
    most_entries = MOST_ENTRIES
    #: Of the view beside this class.
    perform_create: Callable[[Any], None]
    perform_update: Callable[[Any], None]
    perform_destroy: Callable[[Any], None]
    check_etag: Callable[[Any, list[str] | None], None]

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one, or with ``upsert`` change the one whose name is taken."""
        query = BulkQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        with transaction.atomic():
            rows = self._same_named([request.data]) if query.validated_data["upsert"] else {}
            pk = self._write(rows.get(self._key_of(request.data)), request.data)
        code = status.HTTP_200_OK if rows else status.HTTP_201_CREATED
        return Response(self._shown([pk])[0], status=code)

    @action(detail=False, methods=["post"], url_path="bulk")
    def bulk_create(self, request: Request) -> Response:
        """Make the rows of the list, or with ``upsert`` change those whose name is taken."""
        query = BulkQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        entries = _entries(request.data)
        with transaction.atomic():
            rows = self._same_named(entries) if query.validated_data["upsert"] else {}
            written = self._each(
                entries, lambda entry: self._write(rows.get(self._key_of(entry)), entry)
            )
        code = status.HTTP_200_OK if len(rows) == len(written) else status.HTTP_201_CREATED
        return Response(self._shown(written), status=code)

    @bulk_create.mapping.patch
    def bulk_update(self, request: Request) -> Response:
        """Change the rows of the list, each named by its ``id``; with ``etag`` only as it was."""
        entries = _entries(request.data)
        with transaction.atomic():
            rows = self._by_id(entry.get("id") for entry in entries if isinstance(entry, Mapping))
            written = self._each(entries, lambda entry: self._change(rows, entry))
        return Response(self._shown(written))

    @extend_schema(request=IdsSerializer, responses={200: DeletedSerializer})
    @action(
        detail=False,
        methods=["post"],
        url_path="bulk-delete",
        permission_classes=[IsAuthenticated, MayDeleteModel],
    )
    def bulk_delete(self, request: Request) -> Response:
        """Delete the rows with these ``ids``."""
        wanted = IdsSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        ids = list(dict.fromkeys(wanted.validated_data["ids"]))
        with transaction.atomic():
            rows = self._by_id(ids)
            self._each(ids, lambda pk: self.perform_destroy(self._taken(rows, pk)))
        return Response(DeletedSerializer({"deleted": len(ids)}).data)

    def locked(self, rows: QuerySet[_M]) -> QuerySet[_M]:
        """``rows``, locked until the transaction ends."""
        return rows.select_for_update(of=("self",), no_key=True)

    def _each(self, entries: Sequence[Any], write: Callable[[Any], Any]) -> list[Any]:
        """What ``write`` gives for every entry. Raises BulkRefused with all that is wrong."""
        errors: dict[int, Exception] = {}
        written = []
        for place, entry in enumerate(entries):
            try:
                with transaction.atomic():
                    written.append(write(entry))
            except Exception as error:
                told_error = as_api_error(error)
                if not isinstance(told_error, exceptions.APIException):
                    raise
                errors[place] = told_error
        if errors:
            raise BulkRefused(errors)
        return written

    def _write(self, row: _M | None, entry: Any) -> int:
        """Make or change one row; its id."""
        serializer = self._serializer
        serializer.start(row, entry)
        serializer.is_valid(raise_exception=True)
        (self.perform_create if row is None else self.perform_update)(serializer)
        return int(cast("Model", serializer.instance).pk)

    @cached_property
    def _serializer(self) -> NamingSerializer[_M]:
        """The one that all entries of a request go through."""
        serializer: NamingSerializer[_M] = self.get_serializer(data=None)  # type: ignore[assignment]  # by convention
        return serializer

    def _change(self, rows: dict[int, _M], entry: Any) -> int:
        named = EntrySerializer(data=entry)
        named.is_valid(raise_exception=True)
        row = self._taken(rows, named.validated_data["id"])
        etag = named.validated_data.get("etag")
        self.check_etag(row, None if etag is None else [etag])
        return self._write(row, entry)

    def _taken(self, rows: dict[int, _M], pk: int) -> _M:
        """The row with this id; an entry further on does not find it any more."""
        if pk not in rows:
            noun = model_of(self._serializer)._meta.verbose_name
            raise exceptions.NotFound(f"There is no {noun} with the id {pk}, or it came before.")
        return rows.pop(pk)

    def _by_id(self, ids: Iterable[Any]) -> dict[int, _M]:
        """The visible ones of these rows, locked in the order of their ids."""
        known = {pk for pk in ids if isinstance(pk, int) and 0 < pk < 2**63}
        rows = self.locked(self.get_queryset().filter(pk__in=known).order_by("pk"))
        return {row.pk: row for row in rows}

    def _same_named(self, entries: Iterable[Any]) -> dict[str, _M]:
        """The visible rows that the entries name, locked, by their lower-case names."""
        names = {self._key_of(entry) for entry in entries} - {""}
        rows: QuerySet[Any] = self.get_queryset().annotate(lower_name=Lower(F(self._natural_key)))
        found = list(self.locked(rows.filter(lower_name__in=names).order_by("pk")))
        if found and not MayChangeModel().has_permission(self.request, self):
            raise exceptions.PermissionDenied(MayChangeModel.message)
        return {row.lower_name: row for row in found}  # type: ignore[attr-defined]  # annotated

    def _key_of(self, entry: Any) -> str:
        value = entry.get(self._natural_key) if isinstance(entry, Mapping) else None
        return value.strip().lower() if isinstance(value, str) and "\x00" not in value else ""

    @property
    def _natural_key(self) -> str:
        return self._serializer.natural_key

    def _shown(self, ids: Sequence[int]) -> list[Any]:
        """The rows with these ids, in this order, as the list shows them."""
        rows = {row.pk: row for row in self.get_queryset().filter(pk__in=ids)}
        return list(self.get_serializer([rows[pk] for pk in ids if pk in rows], many=True).data)


def _entries(data: Any) -> list[Any]:
    """The entries of a request. Raises ValidationError for what is no list, or too long a one."""
    if not isinstance(data, list) or not data:
        raise serializers.ValidationError("Send a list of entries, one at the least.")
    if len(data) > MOST_ENTRIES:
        raise serializers.ValidationError(
            f"{len(data)} entries are too many; send {MOST_ENTRIES} at a time at the most."
        )
    return data
