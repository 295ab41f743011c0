"""``trio-messenger nats-config``: print a server configuration, in which each node has permissions of its own."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ..sim._for_cli import API_CALLS, ON_JETSTREAM, bucket_of
from ..transports.subjects import ANY, SUBJECT_PREFIX, subject_part, subject_prefix
from .output import print_only
from .parsing import Parser, UsageError, first_line, folder, names, reason_of

_DESCRIPTION: Final = """\
Print the configuration of a NATS server for a cluster of nodes. Each node and each client is a user of its own: it can
listen only to its own subjects, and send only in its own name. The output contains the users' passwords.
"""

_EXAMPLES: Final = """\
examples:
  trio-messenger nats-config --cluster demo --peers n1,n2,n3 --passwords secrets > nats.conf
                                              passwords are in secrets/n1, secrets/n2, ...; new ones are made
  nats-server -c nats.conf
  trio-messenger node --nats nats://127.0.0.1 --cluster demo --id n1 --peers n1,n2,n3 --user n1 \\
    --password-file secrets/n1

exit status: 0, or 2 for wrong arguments.
"""

_ROUTE: Final = "server"
"""The user and the file of the password with which the servers of a cluster know each other. No node has it,
since it is refused."""


_USER_OF_SERVICES: Final = "services"
"""The user of ``trio-messenger services``."""


def configure(parser: Parser) -> None:
    """Add the arguments of this command to *parser*."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("--cluster", required=True, metavar="NAME", help="the name of the cluster of nodes")
    parser.add_argument("--peers", required=True, type=names, metavar="ID,ID...", help="the ids of all nodes")
    parser.add_argument(
        "--clients", type=names, default=["c1"], metavar="ID,ID...", help="the ids of clients (default: c1)"
    )
    parser.add_argument(
        "--passwords",
        required=True,
        type=folder,
        metavar="DIR",
        help="the folder with the users' passwords, a file for each; those that are missing are made",
    )
    parser.add_argument(
        "--prefix", default=SUBJECT_PREFIX, help=f"the first part of all subjects (default: {SUBJECT_PREFIX})"
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:4222", metavar="HOST:PORT", help="where nodes connect (default: 127.0.0.1:4222)"
    )
    parser.add_argument(
        "--jetstream",
        metavar="DIR",
        help="let the server keep the state of lin-kv, seq-kv and lin-tso in this folder, for the user 'services'",
    )
    group = parser.add_argument_group("TLS")
    group.add_argument("--tls-cert", metavar="FILE", help="the server's certificate; demands TLS of nodes")
    group.add_argument("--tls-key", metavar="FILE", help="its key")
    group.add_argument("--tls-ca", metavar="FILE", help="demand a certificate of this authority from nodes and servers")
    group = parser.add_argument_group("several servers")
    group.add_argument("--name", metavar="NAME", help="the name of this server")
    group.add_argument("--routes-listen", metavar="HOST:PORT", help="where the other servers connect")
    group.add_argument("--routes", type=names, metavar="HOST:PORT,...", help="where the other servers listen")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if (arguments.tls_cert is None) != (arguments.tls_key is None) or (arguments.tls_ca and not arguments.tls_cert):
        raise UsageError("--tls-cert and --tls-key belong together, and --tls-ca needs them; give both")
    if (arguments.routes_listen is None) != (arguments.routes is None) or (arguments.routes and not arguments.name):
        raise UsageError("several servers need --name, --routes-listen and --routes; give all of them")
    users = [*arguments.peers, *arguments.clients]
    twice = next((user for user in users if users.count(user) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice!r:.80} is there twice; give each node and each client one id")
    if arguments.jetstream is not None and _USER_OF_SERVICES in users:
        raise UsageError(f"{_USER_OF_SERVICES!r} is the user of 'trio-messenger services'; give the node another id")
    if _ROUTE in users:
        raise UsageError(f"{_ROUTE!r} is the user of the servers among each other; give the node another id")
    try:
        text = "\n".join(_lines(arguments, users))
    except ValueError as exc:
        raise UsageError(f"{exc}") from None
    return print_only(text)


def _lines(arguments: argparse.Namespace, users: list[str]) -> Iterator[str]:
    subjects = subject_prefix(arguments.prefix, arguments.cluster)
    parts = [subject_part(user) for user in users]
    yield f"listen: {json.dumps(arguments.listen)}"
    if arguments.name is not None:
        yield f"server_name: {json.dumps(arguments.name)}"
    if arguments.jetstream is not None:
        yield f"jetstream {{ store_dir: {json.dumps(arguments.jetstream)} }}"
    yield from _tls(arguments, "")
    if arguments.routes is not None:
        password = _password(arguments.passwords, _ROUTE)
        routes = [f"nats-route://{_ROUTE}:{quote(password, safe='')}@{route}" for route in arguments.routes]
        yield "cluster {"
        yield f"  name: {json.dumps(arguments.cluster)}"
        yield f"  listen: {json.dumps(arguments.routes_listen)}"
        yield f"  authorization {{ user: {json.dumps(_ROUTE)}, password: {json.dumps(password)} }}"
        yield f"  routes: {json.dumps(routes)}"
        yield from _tls(arguments, "  ")
        yield "}"
    yield "authorization {"
    yield "  users: ["
    for part in parts:
        yield from _user(arguments, part, [f"{subjects}{ANY}.{part}"], [f"{subjects}{part}.{ANY}"])
    if arguments.jetstream is not None:
        buckets = [bucket_of(arguments.prefix, arguments.cluster, name) for name in ON_JETSTREAM]
        publishes = [f"{subjects}{ANY}.{name}" for name in ON_JETSTREAM]
        publishes += [f"$KV.{bucket}.>" for bucket in buckets]
        publishes += [f"$JS.API.{call}.KV_{bucket}" for bucket in buckets for call in API_CALLS]
        listens = [f"{subjects}{name}.{ANY}" for name in ON_JETSTREAM]
        yield from _user(arguments, _USER_OF_SERVICES, publishes, [*listens, "_INBOX.>"])
    yield "  ]"
    yield "}"


def _user(arguments: argparse.Namespace, user: str, publishes: list[str], listens: list[str]) -> Iterator[str]:
    password = _password(arguments.passwords, user)
    yield f"    {{ user: {json.dumps(user)}, password: {json.dumps(password)}, permissions: {{"
    yield f"      publish: {{ allow: {json.dumps(publishes)} }}"
    yield f"      subscribe: {{ allow: {json.dumps(listens)} }}"
    yield "    } }"


def _tls(arguments: argparse.Namespace, indent: str) -> Iterator[str]:
    if arguments.tls_cert is not None:
        yield f"{indent}tls {{"
        yield f"{indent}  cert_file: {json.dumps(arguments.tls_cert)}"
        yield f"{indent}  key_file: {json.dumps(arguments.tls_key)}"
        if arguments.tls_ca is not None:
            yield f"{indent}  ca_file: {json.dumps(arguments.tls_ca)}"
            yield f"{indent}  verify: true"
        yield f"{indent}}}"


def _password(directory: Path, user: str) -> str:
    """Return the password of *user*, which is in a file in *directory*; make a new file if it is missing.

    Raises:
      UsageError: if the file cannot be read or made.
    """
    path = directory / user
    try:
        if not path.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
        return first_line("--passwords", str(path))
    except (OSError, ValueError) as exc:
        raise UsageError(f"--passwords {str(path)!r}: {reason_of(exc)}; give a folder that can be written") from None
