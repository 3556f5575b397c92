"""What can be wrong with a request, and how it is told; the site gives it its one shape."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError
from django.db.models import ProtectedError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.serializers import as_serializer_error


class Conflict(exceptions.APIException):
    """The request contradicts what is stored."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This contradicts what is stored."
    default_code = "conflict"


class Duplicate(Conflict):
    """There is one with this name already; ``fields`` has the messages by field."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__(told(fields))
        self.fields = fields


class PreconditionFailed(exceptions.APIException):
    """The row is not the one any more that the caller has seen."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "It was changed meanwhile; load it again, and repeat your change."
    default_code = "precondition_failed"


def as_api_error(error: Exception) -> Exception:
    """``error`` as one that the API answers with; itself when it is nobody's input."""
    if isinstance(error, ModelError):
        return exceptions.ValidationError(as_serializer_error(error))
    if isinstance(error, ProtectedError):
        return Conflict("This is still in use elsewhere; remove or change what uses it first.")
    if isinstance(error, IntegrityError):
        # The checks before the write saw nothing: somebody else wrote at the same moment.
        return Conflict("Somebody else stored the same just now; load it again.")
    if isinstance(error, Http404):
        return exceptions.NotFound(str(error) or None)
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    return error


def error_fields(error: Exception) -> dict[str, list[str]]:
    """The messages of an error of the API by field; empty where no field is at fault."""
    fields: dict[str, list[str]] | None = getattr(error, "fields", None)
    if fields is not None:
        return fields
    if not isinstance(error, exceptions.ValidationError) or not isinstance(error.detail, dict):
        return {}
    return {field: _texts(messages) for field, messages in error.detail.items()}


def error_message(error: Exception) -> str:
    """An error of the API in one line."""
    detail = getattr(error, "detail", None)
    if isinstance(detail, str):
        return str(detail)
    fields = error_fields(error)
    if fields:
        return told(fields)
    if isinstance(detail, list):
        return " ".join(_texts(detail))
    if isinstance(detail, dict) and "detail" in detail:
        return str(detail["detail"])
    return str(detail or error)


def told(fields: dict[str, list[str]]) -> str:
    """Messages by field in one line."""
    return "; ".join(
        " ".join(messages) if field == "non_field_errors" else f"{field}: {' '.join(messages)}"
        for field, messages in fields.items()
    )


def _texts(messages: Any) -> list[str]:
    """The messages of one field; those of the entries of a list are ``{place: messages}``."""
    if isinstance(messages, dict):
        return [f"{key}: {text}" for key, below in messages.items() for text in _texts(below)]
    if isinstance(messages, list):
        return [text for below in messages for text in _texts(below)]
    return [str(messages)]
