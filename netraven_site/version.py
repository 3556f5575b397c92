"""Which NetRaven this is; ``pyproject.toml``, which is not in the image, says the same."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0"
