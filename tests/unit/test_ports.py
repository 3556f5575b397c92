"""Ports and addresses of this machine."""

from __future__ import annotations

import pytest

from netraven_site.stack.errors import StackError
from netraven_site.stack.ports import require_free


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "no-such-host.invalid"])
def test_an_address_to_listen_on_that_is_none_is_said(host: str) -> None:
    with pytest.raises(StackError, match=f"'{host}' cannot be resolved; set the address") as caught:
        require_free(host, 8000, "NETRAVEN_WEB_PORT")
    assert "\n" not in str(caught.value)
