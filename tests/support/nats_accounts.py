"""An operator, an account and users of a NATS server, as `nsc` makes them, which Debian does not have."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]


def _make_keys(prefix: int) -> Any:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(issuer: Any, subject: Any, name: str, expires_at: int | None, **rights: Any) -> str:
    claims = {
        "iat": int(time.time()),
        "iss": issuer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": name,
        "nats": {**rights, "version": 2},
    }
    if expires_at is not None:
        claims["exp"] = expires_at
    claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).rstrip(b"=").decode()
    head = _encode(b'{"typ":"JWT","alg":"ed25519-nkey"}') + "." + _encode(json.dumps(claims).encode())
    return f"{head}.{_encode(issuer.sign(head.encode()))}"


class Accounts:
    """One account, in a folder that holds the server's configuration and the users' credentials."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        operator, self._account = (
            _make_keys(prefix) for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT)
        )
        limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1}
        account_jwt = _sign(operator, self._account, "demo", None, type="account", limits=limits)
        self.configuration = folder / "nats.conf"
        """The server's configuration file."""
        self.configuration.write_text(
            f"operator: {_sign(operator, operator, 'operator', None, type='operator')}\n"
            f"resolver: MEMORY\nresolver_preload: {{ {self._account.public_key.decode()}: {account_jwt} }}\n",
            encoding="utf-8",
        )

    def user(self, name: str, expires_at: int | None = None) -> Path:
        """Return the file with the credentials of a new user."""
        keys = _make_keys(nkeys.PREFIX_BYTE_USER)
        jwt = _sign(self._account, keys, name, expires_at, type="user", subs=-1, data=-1, payload=-1)
        path = self._folder / f"{name}.creds"
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{keys.seed.decode()}\n------END USER NKEY SEED------\n",
            encoding="utf-8",
        )
        return path
