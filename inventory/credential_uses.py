"""Writing down how devices answer to credentials."""

from __future__ import annotations

from django.db.models.functions import Now

from inventory.models import CredentialUse


def use_record_refusal(*, device_id: int, credential_id: int) -> None:
    """Write down that the device has refused the credential at this moment."""
    uses = CredentialUse.objects.filter(device=device_id, credential=credential_id)
    CredentialUse.objects.bulk_create(
        [CredentialUse(device_id=device_id, credential_id=credential_id)], ignore_conflicts=True
    )
    uses.update(last_failure_at=Now())
