"""The one error shape of the API."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db.models import ProtectedError
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """The one error shape: ``{"error": {"code", "message", "fields"}}``.

    ``fields`` maps a field to its messages and is empty where no field is at fault. None, and so
    Django's plain error 500, for what is nobody's input.
    """
    if isinstance(error, ModelError):
        error = exceptions.ValidationError(as_serializer_error(error))
    if isinstance(error, ProtectedError):
        error = Conflict("This is still in use elsewhere; remove or change what uses it first.")
    response = exception_handler(error, context)
    if response is None:
        return None
    fields = _fields(error)
    response.data = {
        "error": {
            "code": _code(error, response.status_code),
            "message": _message(error, fields),
            "fields": fields,
        }
    }
    return response


class Conflict(exceptions.APIException):
    """The request contradicts what is stored."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "This contradicts what is stored."
    default_code = "conflict"


def _code(error: Exception, status_code: int) -> str:
    if isinstance(error, exceptions.ValidationError):
        return "invalid"
    return str(getattr(error, "default_code", status_code))


def _fields(error: Exception) -> dict[str, list[str]]:
    if not isinstance(error, exceptions.ValidationError) or not isinstance(error.detail, dict):
        return {}
    return {
        field: [str(message) for message in messages] if isinstance(messages, list) else [str(messages)]
        for field, messages in error.detail.items()
    }


def _message(error: Exception, fields: dict[str, list[str]]) -> str:
    if fields:
        return "; ".join(
            " ".join(messages) if field == "non_field_errors" else f"{field}: {' '.join(messages)}"
            for field, messages in fields.items()
        )
    detail = getattr(error, "detail", None)
    if isinstance(detail, list):
        return " ".join(str(entry) for entry in detail)
    if isinstance(detail, dict) and "detail" in detail:
        return str(detail["detail"])
    return str(detail or error)
