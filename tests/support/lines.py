"""Lines of input for a node."""

from __future__ import annotations

import msgspec

from trio_messenger import Body


def line(body: Body, src: str = "c1", dest: str = "n1") -> bytes:
    """Return one line of input."""
    return msgspec.json.encode({"src": src, "dest": dest, "body": body}) + b"\n"


INIT = line({"type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1", "n2"]}, src="c0")
