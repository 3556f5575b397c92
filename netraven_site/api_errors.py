"""The one error shape of the API."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as ModelError
from django.db import IntegrityError
from django.db.models import ProtectedError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """An error in the one shape: ``{"error": {"code", "message", "fields"}}``.

    ``fields`` maps a field to its messages and is empty where no field is at fault. None, and so
    Django's plain error 500, for what is nobody's input.
    """
    if isinstance(error, ModelError):
        error = exceptions.ValidationError(as_serializer_error(error))
    if isinstance(error, ProtectedError):
        error = Conflict("This is still in use elsewhere; remove or change what uses it first.")
    if isinstance(error, IntegrityError):
        # The checks before the write saw nothing: somebody else wrote at the same moment.
        error = Conflict("Somebody else stored the same just now; load it again.")
    if isinstance(error, Http404):
        error = exceptions.NotFound(str(error) or None)
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    response = exception_handler(error, context)
    if response is None:
        return None
    fields = _fields(error)
    response.data = _shape(_code(error, response.status_code), _message(error, fields), fields)
    return response


@csrf_exempt  # It changes nothing, and clients with a token have no CSRF token.
def not_found(request: HttpRequest) -> JsonResponse:
    """The answer to an address of the API that there is not."""
    return JsonResponse(_shape("not_found", "There is no such address in the API.", {}), status=404)


def _shape(code: str, message: str, fields: dict[str, list[str]]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "fields": fields}}


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
    return {field: _texts(messages) for field, messages in error.detail.items()}


def _texts(messages: Any) -> list[str]:
    """The messages of one field; those of the entries of a list are ``{place: messages}``."""
    if isinstance(messages, dict):
        return [f"{key}: {text}" for key, below in messages.items() for text in _texts(below)]
    if isinstance(messages, list):
        return [text for below in messages for text in _texts(below)]
    return [str(messages)]


def _message(error: Exception, fields: dict[str, list[str]]) -> str:
    if fields:
        return "; ".join(
            " ".join(messages) if field == "non_field_errors" else f"{field}: {' '.join(messages)}"
            for field, messages in fields.items()
        )
    detail = getattr(error, "detail", None)
    if isinstance(detail, list):
        return " ".join(_texts(detail))
    if isinstance(detail, dict) and "detail" in detail:
        return str(detail["detail"])
    return str(detail or error)
