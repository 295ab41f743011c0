"""The echo node: it gives back what it got."""

from __future__ import annotations

from typing import Any

import pytest

from trio_messenger.nodes import echo
from trio_messenger.testing import running


@pytest.mark.parametrize("value", ["Please echo 35", None, 0, [1, {"two": 3.5}]])
async def test_echo_gives_back_any_value(value: Any) -> None:
    """What was sent comes back as it is."""
    async with running(echo.build()) as network:
        assert await network.request("echo", echo=value) == {
            "type": "echo_ok",
            "echo": value,
            "in_reply_to": 1,
            "msg_id": 1,
        }


async def test_echo_of_nothing_is_refused() -> None:
    """A request without the field is malformed."""
    async with running(echo.build()) as network:
        assert (await network.request("echo"))["code"] == 12
