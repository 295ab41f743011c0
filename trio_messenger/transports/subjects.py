"""NATS subjects: names of where a message goes and where it comes from, ``<prefix>.<cluster>.<dest>.<src>``.

A node listens to the subjects with its own id as *dest*, and publishes to those with its own id as *src*. The server
can give permissions for both, so nobody can read the messages of another node or send in its name. This module needs no
NATS client.

A subject consists of parts between dots, and a part cannot contain dots, spaces, wildcards or control characters. So an
id is written as in a URL: letters, digits, ``_``, ``-`` and ``~`` as they are, and the bytes of all other characters as
``%XX``. Each id has exactly one form.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

LONGEST_PART: Final = 255
"""Characters of the longest id in a subject. A NATS server closes connections whose lines have more than 4,096, and a
subject has at least three parts that a peer or a user chooses."""

SUBJECT_PREFIX: Final = "messenger"
"""The first part of all subjects, by default."""

ANY: Final = "*"
"""Stands for any id, in permissions and subscriptions."""


@lru_cache(maxsize=4096)
def subject_part(name: str) -> str:
    """Return *name*, an id or the name of a cluster, as a part of a subject.

    Raises:
      ValueError: if *name* is empty, too long, or not valid text; the text says which.

    Example:
      >>> from trio_messenger.transports.subjects import subject_part
      >>> subject_part("n1"), subject_part("10.0.0.7"), subject_part("é")
      ('n1', '10%2E0%2E0%2E7', '%C3%A9')
    """
    if not name:
        raise ValueError("an id is empty, which no subject can hold; give it at least one character")
    try:
        part = quote(name, safe="").replace(".", "%2E")
    except UnicodeEncodeError:
        raise ValueError(f"{name!r:.80} contains half of a surrogate pair; give an id that is text") from None
    if len(part) > LONGEST_PART:
        raise ValueError(
            f"{name!r:.80} has {len(part)} characters in a subject, and {LONGEST_PART} is the limit; give a shorter id"
        )
    return part


def subject_prefix(prefix: str, cluster: str) -> str:
    """Return the beginning of all subjects of *cluster*, with a dot at its end. *prefix* may have several parts.

    Raises:
      ValueError: as for `subject_part`.

    Example:
      >>> from trio_messenger.transports.subjects import subject_prefix
      >>> subject_prefix("messenger", "demo")
      'messenger.demo.'
    """
    return "".join(f"{subject_part(name)}." for name in (*prefix.split("."), cluster))
