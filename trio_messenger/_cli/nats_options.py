"""The options of commands that use NATS, and what they open."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import zip_longest
from typing import Any, Final

from trio_messenger import Transport

from .parsing import UsageError, first_line, import_extra, names, reason_of

_NATS_OPTIONS: Final = ("nats", "cluster", "prefix", "tls_ca", "tls_cert", "tls_key", "creds", "user", "password_file")
"""The options, by the names of their values."""


def add_nats_options(group: argparse._ArgumentGroup) -> None:
    """Add the options that say which servers to use, and how, to *group*."""
    group.add_argument(
        "--nats",
        type=names,
        metavar="URL[,URL...]",
        help="the servers of one NATS cluster, such as nats://10.0.0.1:4222; tls:// demands TLS",
    )
    group.add_argument("--cluster", metavar="NAME", help="the name of the cluster of nodes; others do not see it")
    group.add_argument("--prefix", metavar="PREFIX", help="the first part of all subjects (default: messenger)")
    group.add_argument("--tls-ca", metavar="FILE", help="trust the certificates of this authority; demands TLS")
    group.add_argument("--tls-cert", metavar="FILE", help="show this certificate to the server; demands TLS")
    group.add_argument("--tls-key", metavar="FILE", help="its key (default: in the file of the certificate)")
    group.add_argument("--creds", metavar="FILE", help="a file of credentials, as 'nsc generate creds' makes it")
    group.add_argument("--user", metavar="NAME", help="the user's name, with --password-file")
    group.add_argument("--password-file", metavar="FILE", help="a file whose first line is the user's password")


def open_transport(
    arguments: argparse.Namespace, node_id: str, node_ids: Collection[str], **options: Any
) -> AbstractAsyncContextManager[Transport]:
    """Return the transport of *node_id* that *arguments* define; it connects when it is entered.

    Args:
      arguments: The parsed command line, with ``nats``.
      node_id: The id of the node or client.
      node_ids: The ids of all nodes.
      options: Further arguments of `open_nats`.

    Raises:
      UsageError: if something is missing, contradictory or cannot be read; the text says what.
    """
    if arguments.cluster is None:
        raise UsageError("--cluster is missing: give the name of the cluster of nodes")
    if (arguments.user is None) != (arguments.password_file is None):
        raise UsageError("--user and --password-file belong together; give both")
    if arguments.creds is not None and arguments.user is not None:
        raise UsageError("--creds and --user both say who this is; give one of them")
    nats = import_extra("nats", "trio_messenger.transports.nats", ("nats", "trio_asyncio", "nkeys"))
    if arguments.prefix is not None:
        options["prefix"] = arguments.prefix
    try:
        credentials = nats.Credentials(
            tls=_tls(arguments),
            user=arguments.user,
            password=None if arguments.password_file is None else _password(arguments.password_file),
            creds=arguments.creds,
        )
        opened: AbstractAsyncContextManager[Transport] = nats.open_nats(
            arguments.nats, arguments.cluster, node_id, node_ids, credentials=credentials, **options
        )
    except ValueError as exc:
        raise UsageError(f"{exc}") from None
    return opened


def _password(path: str) -> str:
    try:
        return first_line("--password-file", path)
    except (OSError, ValueError) as exc:
        raise UsageError(f"--password-file {path!r}: {reason_of(exc)}; give a file with the password") from None


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    """Return what the options of TLS define; None if there are none."""
    if arguments.tls_key is not None and arguments.tls_cert is None:
        raise UsageError("--tls-key is the key of --tls-cert; give --tls-cert, too")
    if arguments.tls_ca is None and arguments.tls_cert is None:
        return None
    context = ssl.create_default_context()
    path = arguments.tls_ca
    option = "--tls-ca"
    try:
        if path is not None:
            context = ssl.create_default_context(cafile=path)
        if arguments.tls_cert is not None:
            path = arguments.tls_key or arguments.tls_cert
            option = "--tls-cert"
            # Without a function for the password of a key, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(arguments.tls_cert, arguments.tls_key, password=lambda: "")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise UsageError(f"{option}: {str(path)!r}: {_reason(exc)}; give a PEM file") from None
    return context


def _reason(exc: OSError | ValueError) -> str:
    if isinstance(exc, ssl.SSLError):
        return "it is not a certificate with its key" if exc.reason is None else exc.reason.lower().replace("_", " ")
    return reason_of(exc)


def refuse_without_nats(arguments: argparse.Namespace, *more: str) -> None:
    """Raise `UsageError` if an option for NATS, or one in *more*, is given without ``--nats``."""
    for name in (*_NATS_OPTIONS[1:], *more):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for NATS; give --nats, too, or leave it out")


def nats_words(arguments: argparse.Namespace, *more: str) -> tuple[str, ...]:
    """Return the words of the options for NATS, and of those in *more*, that *arguments* have."""
    values = {name: getattr(arguments, name) for name in (*_NATS_OPTIONS, *more)}
    return tuple(
        word
        for name, value in values.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", ",".join(value) if name == "nats" else value)
    )


def from_nats_words(words: Sequence[str], *more: str) -> argparse.Namespace:
    """Return the arguments for which `nats_words` returned *words*.

    Raises:
      UsageError: if they are no such words.
    """
    found: dict[str, Any] = dict.fromkeys((*_NATS_OPTIONS, *more))
    for word, value in zip_longest(words[::2], words[1::2]):
        name = word.removeprefix("--").replace("-", "_")
        if name not in found or value is None:
            raise UsageError(f"{word!r:.80} is not an option for nodes on NATS, or has no value")
        found[name] = names(value) if name == "nats" else value
    return argparse.Namespace(**found)
