"""What the one who imports may touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from credentials.models import Credential, Tag
from credentials.visibility import credentials_visible_to, tags_visible_to
from inventory.models import Device, JumpHost, Zone
from inventory.visibility import (
    User,
    is_limited,
    jump_hosts_visible_to,
    scope_of,
    tags_problem,
    zones_nameable_by,
)


class ImportLimits:
    """The limits of ``user``, asked for once; None is the command line, which has none."""

    def __init__(self, user: User | None) -> None:
        self._user = user
        self._is_limited = user is not None and is_limited(user=user)

    @cached_property
    def _devices(self) -> frozenset[int]:
        scope = scope_of(user=self._user)
        return frozenset() if scope is None else frozenset(scope.values_list("pk", flat=True))

    @cached_property
    def _tags(self) -> frozenset[str]:
        return frozenset(tag.name.lower() for tag in tags_visible_to(user=self._user))

    def check_device(self, device: Device) -> None:
        """Refuse a device that the user does not see. Raises ValidationError."""
        if self._is_limited and device.pk not in self._devices:
            raise ValidationError({"hostname": "There is already a device with this hostname."})

    def check_tags(self, names: Sequence[str] | None, had: Iterable[Tag], *, is_new: bool) -> None:
        """Refuse tags that the user may not give or take away. Raises ValidationError."""
        if not self._is_limited or (names is None and not is_new):
            return
        problem = tags_problem(wanted=names or (), had=(tag.name for tag in had), own=self._tags)
        if problem:
            raise ValidationError({"tags": problem})

    @property
    def may_make_zones(self) -> bool:
        """Whether a zone that is missing is made."""
        if self._user is None:
            return True
        return not self._is_limited and self._user.has_perm("inventory.add_zone")

    @property
    def credentials(self) -> QuerySet[Credential]:
        """Those that may be named."""
        if self._user is None:
            return Credential.objects.all()
        return credentials_visible_to(user=self._user)

    @property
    def jump_hosts(self) -> QuerySet[JumpHost]:
        """Those that may be named."""
        if self._user is None:
            return JumpHost.objects.all()
        return jump_hosts_visible_to(user=self._user)

    @property
    def zones(self) -> QuerySet[Zone]:
        """Those that may be named."""
        if self._user is None:
            return Zone.objects.all()
        return zones_nameable_by(user=self._user)
