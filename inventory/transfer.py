"""Import and export of devices and zones in the admin, by the rules of ``inventory.imports``."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from import_export import resources
from import_export.fields import Field
from import_export.results import Error, Result, RowResult
from import_export.widgets import ForeignKeyWidget
from tablib import Dataset

from common.csv_output import csv_lines
from credentials.models import Credential
from credentials.transfer import CheckedResource, WholeNumber
from credentials.visibility import User, credentials_visible_to
from inventory.exports import device_cells
from inventory.formats import CSV_COLUMNS
from inventory.imports import ImportFailed, file_import
from inventory.models import Device, Zone


class DeviceResource(resources.Resource):
    """Devices by hostname: the same file and the same rules as on the page *Import devices*."""

    def __init__(self, *, user: User, **options: Any) -> None:
        super().__init__(**options)
        self._user = user

    @classmethod
    def get_display_name(cls) -> str:
        return "Devices"

    def get_user_visible_fields(self) -> list[Field]:
        return [Field(column_name=name) for name in CSV_COLUMNS]

    def export(self, queryset: QuerySet[Device] | None = None, **options: Any) -> Dataset:
        """The devices of ``queryset``."""
        devices = Device.objects.none() if queryset is None else queryset
        return Dataset(*device_cells(devices=devices), headers=CSV_COLUMNS)

    def import_data(self, dataset: Dataset, dry_run: bool = False, **options: Any) -> Result:
        """All of them, or none and what is wrong with which line."""
        result = Result()
        text = "".join(csv_lines(dataset.headers, dataset))
        try:
            done = file_import(text=text, dry_run=dry_run, user=self._user)
        except ImportFailed as error:
            for problem in error.problems:
                result.append_base_error(Error(ValueError(problem)))
            return result
        result.totals[RowResult.IMPORT_TYPE_NEW] = done.created
        result.totals[RowResult.IMPORT_TYPE_UPDATE] = done.updated
        result.totals[RowResult.IMPORT_TYPE_SKIP] = done.unchanged
        return result


class _CredentialName(ForeignKeyWidget):
    """A credential that the user sees; its name is nothing for others."""

    def __init__(self, user: User) -> None:
        super().__init__(Credential, "name")
        self._user = user
        self._may_look = user.has_perm("credentials.view_credential")

    def get_queryset(self, value: Any, row: Any, *args: Any, **options: Any) -> Any:
        visible = credentials_visible_to(user=self._user)
        return visible if self._may_look else visible.none()

    def clean(self, value: Any, row: Any = None, **options: Any) -> Any:
        """The credential. Raises ValueError for a name that the user does not see."""
        try:
            return super().clean(value, row, **options)
        except Credential.DoesNotExist:
            raise ValueError(f"There is no credential '{value}'.") from None

    def render(self, value: Any, obj: Any = None, **options: Any) -> str:
        return value.name if value is not None and self._may_look else ""


class ZoneResource(CheckedResource):
    """Zones by name."""

    max_sessions = Field("max_sessions", "max_sessions", WholeNumber())
    default_credential = Field("default_credential", "default_credential")

    class Meta(CheckedResource.Meta):
        model = Zone
        fields = ("name", "description", "host_key_mode", "max_sessions", "default_credential")

    def __init__(self, *, user: User, **options: Any) -> None:
        super().__init__(**options)
        self.fields["default_credential"].widget = _CredentialName(user)
