"""Lines of a device that change by themselves, with rules against them."""

from __future__ import annotations

from typing import Any

from django import forms

from backups.pages.device import DevicePage, Trouble, troubles
from backups.selectors.noise import MOST_REVISIONS, REVISIONS, noise_of_device
from inventory.platforms import UnknownPlatform


class NoiseForm(forms.Form):
    """How many of the newest revisions are looked at."""

    revisions = forms.IntegerField(
        min_value=2, max_value=MOST_REVISIONS, initial=REVISIONS, label="Newest revisions to read"
    )


class NoisePage(DevicePage):
    """What was found in so many revisions; nothing is looked for before somebody asks."""

    title = "Volatile lines"
    template_name = "backups/noise.html"
    tab = "noise"

    def content(self) -> dict[str, Any]:
        """The form, and the report if it was sent. Raises Trouble."""
        if "revisions" not in self.request.GET:
            return {"form": NoiseForm()}
        form = NoiseForm(self.request.GET)
        if not form.is_valid():
            return {"form": form}
        try:
            with troubles():
                report = noise_of_device(device=self.device, **form.cleaned_data)
        except UnknownPlatform as error:
            raise Trouble(str(error), 503) from error
        return {"form": form, "report": report}
