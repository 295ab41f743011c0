"""The RPCs between members, with the names that the paper uses, and the entries of the log."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import msgspec


class LogEntry(msgspec.Struct, array_like=True, frozen=True):
    """A client's request in the log. The first entry of each term is empty: it has no command."""

    term: int
    client: str = ""
    msg_id: int | None = None
    command: dict[str, Any] | None = None


@attrs.frozen
class Snapshot:
    """The state after the entry at *index*, which has *term*. It replaces all entries up to there."""

    index: int
    term: int
    state: Any


@attrs.frozen
class RequestVote:
    """Asks for a member's vote in *term*."""

    type: ClassVar[str] = "request_vote"
    term: int
    last_log_index: int
    last_log_term: int


@attrs.frozen
class PreVote(RequestVote):
    """Asks whether a member would vote for the sender in *term*, which has not begun yet."""

    type: ClassVar[str] = "pre_vote"


@attrs.frozen
class Vote:
    """The answer to `PreVote` and `RequestVote`."""

    term: int
    granted: bool


@attrs.frozen
class AppendEntries:
    """Entries of the leader's log from ``prev_log_index + 1`` on; without entries, a heartbeat."""

    type: ClassVar[str] = "append_entries"
    term: int
    prev_log_index: int
    prev_log_term: int
    entries: list[LogEntry]
    leader_commit: int


@attrs.frozen
class InstallSnapshot:
    """The leader's snapshot, for a member that lacks entries which the leader has discarded."""

    type: ClassVar[str] = "install_snapshot"
    term: int
    snapshot: Snapshot


@attrs.frozen
class Appended:
    """The answer to `AppendEntries` and `InstallSnapshot`.

    On success, the log equals the leader's up to *index*. Otherwise it has no entry at *index*, and *conflict_index* is
    the first that is missing; or it has another one, with a term that begins at *conflict_index*.
    """

    term: int
    success: bool
    index: int = 0
    conflict_index: int = 0


@attrs.frozen
class Forward:
    """A client's request, passed on to the leader. The reply has the answer for the client in ``answer``."""

    type: ClassVar[str] = "forward"
    client: str
    request_id: int | None
    command: dict[str, Any]
