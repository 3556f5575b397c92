"""Rows that a file names: zones, credentials and jump hosts, each asked for once."""

from __future__ import annotations

from functools import cached_property

from django.core.exceptions import ValidationError

from credentials.models import Credential
from inventory.formats import DeviceRecord
from inventory.imports.limits import ImportLimits
from inventory.models import Device, JumpHost, Zone
from inventory.visibility import ZONE_UNKNOWN


class Names:
    """Finds them, and makes zones that are missing."""

    def __init__(self, limits: ImportLimits) -> None:
        self._limits = limits

    def set_relations(self, device: Device, record: DeviceRecord) -> None:
        """Set what ``record`` names; None keeps, an empty name takes away.

        Raises ValidationError for a name that is not there or may not be named.
        """
        if record.zone is not None:
            device.zone = self._zone(record.zone, device.zone_id)
        if record.credential is not None:
            stored = device.credential_id
            device.credential = self._credential(record.credential, stored)
        if record.jump_host is not None:
            device.jump_host = self._jump_host(record.jump_host, device.jump_host_id)

    @cached_property
    def _zones(self) -> dict[str, Zone]:
        return {zone.name: zone for zone in Zone.objects.all()}

    @cached_property
    def _credentials(self) -> dict[str, Credential]:
        return {one.name.lower(): one for one in Credential.objects.all()}

    @cached_property
    def _jump_hosts(self) -> dict[str, JumpHost]:
        return {one.name: one for one in JumpHost.objects.all()}

    @cached_property
    def _may_name_zones(self) -> set[int]:
        return set(self._limits.zones.values_list("pk", flat=True))

    @cached_property
    def _may_name_credentials(self) -> frozenset[int]:
        return frozenset(self._limits.credentials.values_list("pk", flat=True))

    @cached_property
    def _may_name_jump_hosts(self) -> frozenset[int]:
        return frozenset(self._limits.jump_hosts.values_list("pk", flat=True))

    def _zone(self, name: str, stored: int | None) -> Zone | None:
        if not name:
            return None
        found = self._zones.get(name) or self._new_zone(name)
        if found.pk not in {stored, *self._may_name_zones}:
            raise ValidationError({"zone": ZONE_UNKNOWN.format(name)})
        return found

    def _new_zone(self, name: str) -> Zone:
        zone = Zone(name=name)
        try:
            zone.full_clean()
        except ValidationError as error:
            raise ValidationError({"zone": error.messages}) from error
        if not self._limits.may_make_zones:
            raise ValidationError({"zone": f"There is no zone '{name}', and you may make none."})
        zone.save()
        self._zones[name] = zone
        self._may_name_zones.add(zone.pk)
        return zone

    def _credential(self, name: str, stored: int | None) -> Credential | None:
        if not name:
            return None
        found = self._credentials.get(name.lower())
        # The one that is set already may be named by whoever may not see it.
        if found is None or found.pk not in {stored, *self._may_name_credentials}:
            raise ValidationError({"credential": f"There is no credential '{name}'."})
        return found

    def _jump_host(self, name: str, stored: int | None) -> JumpHost | None:
        if not name:
            return None
        found = self._jump_hosts.get(name)
        if found is None or found.pk not in {stored, *self._may_name_jump_hosts}:
            raise ValidationError({"jump_host": f"There is no jump host '{name}'."})
        return found
