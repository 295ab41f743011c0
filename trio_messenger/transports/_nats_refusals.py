"""Why a connection to a NATS server could not be made, in words that say what to do."""

from __future__ import annotations

import ssl

from nats import errors


class ServerRefusedError(Exception):
    """The server does not want this client, or is not the right one. Trying again does not help."""


class UnreachableError(Exception):
    """No server accepts a connection at the moment. Trying again may help."""


def explained(
    exc: BaseException, server: str, reasons: list[str], *, has_tls: bool
) -> ServerRefusedError | UnreachableError:
    """Return the error that says what to do about *exc*, with which an attempt to connect to *server* ended."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ServerRefusedError(f"the certificate of {server} is not trusted: {exc.verify_message}")
    if isinstance(exc, errors.SecureConnWantedError):
        return ServerRefusedError(f"{server} does not use TLS, and this node demands it; turn TLS on in the server")
    if isinstance(exc, ssl.SSLError):
        if "CERTIFICATE" in exc.reason:
            return ServerRefusedError(f"{server} refuses the certificate of this node, or demands one: {exc.reason}")
        return ServerRefusedError(f"no TLS connection to {server}: {exc.reason}")
    text = why(exc)
    if "authorization" in text or "authentication" in text:
        return ServerRefusedError(f"{server} refuses the credentials: {text}")
    if isinstance(exc, errors.NoServersError) and reasons:
        text = reasons[-1]
    if has_tls and isinstance(exc, BrokenPipeError | ConnectionResetError):
        text += "; the server may demand a certificate of this node"
    return UnreachableError(f"{server} cannot be reached: {text}")


def why(exc: BaseException) -> str:
    """Return the text of *exc* in one line, without the name of the library."""
    text = (exc.strerror if isinstance(exc, OSError) else None) or f"{exc}"
    if "Connect call failed" in text:  # asyncio's text for each address, and for several
        return "connection refused"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return text.lower().removeprefix("nats: ").strip("' ") or type(exc).__name__
