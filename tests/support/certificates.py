"""Certificates for tests of TLS: an authority, a server on the loopback interface, and a client."""

from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest
import trustme


@attrs.frozen
class Certificates:
    """Files in one folder, as the command line takes them."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    other_authority: Path
    """One that has signed none of them."""

    def server_context(self, *, wants_client: bool = False) -> ssl.SSLContext:
        """Return the context of the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        if wants_client:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, *, shows_itself: bool = False, trusts: Path | None = None) -> ssl.SSLContext:
        """Return the context of a client."""
        context = ssl.create_default_context(cafile=str(trusts or self.authority))
        if shows_itself:
            context.load_cert_chain(self.client, self.client_key)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificates of this session."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    made = Certificates(*(folder / f"{field.name}.pem" for field in attrs.fields(Certificates)))
    authority.cert_pem.write_to_path(str(made.authority))
    other.cert_pem.write_to_path(str(made.other_authority))
    for leaf, certificate, key in (
        (authority.issue_cert("127.0.0.1", "localhost"), made.server, made.server_key),
        (authority.issue_cert("n1@example.com"), made.client, made.client_key),
    ):
        leaf.cert_chain_pems[0].write_to_path(str(certificate))
        leaf.private_key_pem.write_to_path(str(key))
    return made
