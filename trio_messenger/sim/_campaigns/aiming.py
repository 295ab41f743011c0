"""Aims: events of a run without faults, drawn by kind first, so that rare kinds are as likely as frequent ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from .._determinism.random_streams import Streams
from .._faults.fault_search import AIMED, Aim, FaultSearch, most_aims
from .._runs.options import Options
from .._runs.run import Run


def needs_aims(options: Options) -> bool:
    """Tell whether a run with *options* needs another one before it, without faults, in order to aim its own."""
    search = options.search
    is_aimed = search.of_seed(options.nemesis, options.seed) == AIMED
    return is_aimed and search.aims is None and not options.faults


def with_aims(options: Options, rehearsal: Run) -> Options:
    """Return *options* with aims at events of *rehearsal*, a run without faults, and with the schedule that follows.

    First the kind of event is drawn, then one of that kind: whether a message is sent or delivered, its type, who is at
    its other end, and the role of the node, if it shows one; or the role that the node takes on.
    """
    kinds: dict[Hashable, list[Aim]] = {}
    for kind, aim in _events(options, rehearsal):
        kinds.setdefault(kind, []).append(aim)
    chance = Streams(options.seed).stream("search", AIMED, "events")
    count = chance.randint(1, most_aims(options.nemesis_interval, options.time_limit)) if kinds else 0
    drawn = [chance.choice(kinds[chance.choice(list(kinds))]) for _ in range(count)]
    aims = sorted(set(drawn), key=lambda aim: (aim.at, aim.node, aim.event))
    return options.with_schedule(search=FaultSearch(options.search.strategy, aims))


def _events(options: Options, rehearsal: Run) -> Iterator[tuple[Hashable, Aim]]:
    """Yield the events of nodes in the main phase, each after its kind."""
    end = round(options.time_limit * 1e9)
    for kind, t, aim in _all_events(options, rehearsal):
        if 0 <= t < end:
            yield kind, aim


def _all_events(options: Options, rehearsal: Run) -> Iterator[tuple[Hashable, int, Aim]]:
    network, roles = rehearsal.network, rehearsal.roles
    assert roles is not None
    messages: dict[int | None, tuple[str, str, str]] = {}
    for entry in rehearsal.journal:
        message = entry.message
        if message is not None:
            messages[entry.id] = message.src, message.dest, f"{message.body.get('type')}"
        if entry.event not in ("send", "deliver"):
            continue
        src, dest, body_type = messages[entry.id]
        node_id, peer = (src, dest) if entry.event == "send" else (dest, src)
        if node_id not in options.nodes:
            continue
        role = roles.at(node_id, entry.i)
        who = node_id if role is None else f"{node_id} ({role:.80})"
        did = f"sent {body_type:.80} to" if entry.event == "send" else f"got {body_type:.80} from"
        aim = Aim(at=entry.t / 1e9, node=node_id, peer=peer, event=f"{who} {did} {peer}")
        yield (entry.event, body_type, network.role(peer), role), entry.t, aim
    for t, node_id, role in roles.changes():
        yield ("role", role), t, Aim(at=t / 1e9, node=node_id, event=f"{node_id} became {role:.80}")
