"""Load a node on NATS for long, in every way that it has to bear: `nox -s soak`, or `python tests/bench/soak_nats.py`.

Needs Linux and nats-server. In turns, there are: requests with too large messages and RPCs without replies among them;
payloads that are no messages, and messages in the name of others; a flood from a peer; and a node that does not read,
until the server closes its connection. At the end, each message is accounted for by a reply or by a counter, and memory
must be flat.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `bench` is found even under PYTHONSAFEPATH

from bench import contestants
from bench.nats_child import SERVER, NatsChild, server
from bench.soak import Trend, Verdict, seconds, trend

PLAIN_SECONDS = 4.0
"""Seconds of requests in a round."""

IN_FLIGHT = 100

FLOOD = 40_000
"""Requests of a flood: more than wait in the 8 MiB that the node holds."""

FLOOD_VALUE = b"x" * 400

STOPPED = 7.0
"""Seconds for which the node does not read: longer than the server's patience."""

PATIENCE = "4s"

BACKLOG = 20_000_000
"""Bytes that the server cannot deliver meanwhile: more than the buffers of the system hold."""

PATIENCE_WITH_FLOOD = 60.0
"""Seconds that a flood may take, on a busy machine too."""

QUIET = 1.0
"""Seconds without a reply after which no more come."""

SHARE_OF_WARM_UP = 0.4
"""The part of the run after which memory must not grow: by then, some flood has filled what the node holds."""

BAD = (
    (b"c1", b"no message"),
    (b"c1", b'{"src": "c1", "dest": "n1", "body": {"x": NaN}}'),
    (b"c2", b'{"src": "c1", "dest": "n1", "body": {"type": "echo", "msg_id": 1, "echo": 1}}'),
    (b"c1", b'{"src": "c1", "dest": "n2", "body": {"type": "echo", "msg_id": 1, "echo": 1}}'),
    (b"\xff", b'{"src": "c1", "dest": "n1", "body": {"type": "echo", "msg_id": 1, "echo": 1}}'),
    (b"c1", b""),
)
"""Messages that are dropped or answered with an error: two malformed ones, three forged ones, and a blank one."""


class NatsSoak:
    """One run against *child*, whose metrics are at *url*."""

    def __init__(self, child: NatsChild, url: str) -> None:
        self._child = child
        self._url = url
        self.samples: list[tuple[float, float]] = []
        self.rounds = self.sent = self.answered = self.refused = self.bad = self.missing = self.cut_off = 0
        self.begun = time.monotonic()

    def run(self, seconds: float) -> None:
        """Go through rounds until *seconds* are over."""
        while time.monotonic() - self.begun < seconds:
            self.rounds += 1
            self._plain()
            self._send_bad()
            self._flood()
            self._stop()
            metrics = self.metrics()
            megabytes = metrics["process_resident_memory_bytes"] / 2**20
            self.samples.append((time.monotonic() - self.begun, megabytes))
            print(f"{self.samples[-1][0]:5.0f} s  {self.sent:,} sent  {megabytes:.1f} MiB", file=sys.stderr)

    def metrics(self) -> dict[str, float]:
        """Return what the node's metrics say."""
        with urlopen(self._url, timeout=30) as answer:
            text = answer.read().decode()
        return {
            name: float(value) for name, value in re.findall(r"^(?:trio_messenger_)?(\w+) ([\d.e+-]+)$", text, re.M)
        }

    def _request(self, kind: str, value: bytes = b"hi") -> bytes:
        self.sent += 1
        form = b'{"src":"c1","dest":"n1","body":{"type":"%b","msg_id":%d,"echo":"%b"}}\n'
        return form % (kind.encode(), self.sent, value)

    def _take(self, lines: bytes) -> int:
        """Count the replies in *lines*."""
        replies = lines.count(b"_ok")
        self.answered += replies
        self.refused += lines.count(b"and this network carries")
        return replies

    def _plain(self) -> None:
        end = time.monotonic() + PLAIN_SECONDS
        unanswered = 0
        while time.monotonic() < end or unanswered:
            if time.monotonic() < end:
                kinds = [
                    "big" if number % 2000 == 0 else "ask" if number % 10 == 0 else "echo"
                    for number in range(self.sent, self.sent + IN_FLIGHT - unanswered)
                ]
                unanswered += len(kinds)
                self._child.write(b"".join(map(self._request, kinds)))
            unanswered -= self._take(self._child.read())

    def _send_bad(self) -> None:
        for _ in range(100):
            self._child.publish(*BAD)
        self.bad += 100
        self._take(self._child.read_for(QUIET))

    def _flood(self) -> None:
        begun = self.metrics()
        before = self.answered
        for _ in range(FLOOD // 1000):
            self._child.write(b"".join(self._request("echo", FLOOD_VALUE) for _ in range(1000)))
        give_up_at = time.monotonic() + PATIENCE_WITH_FLOOD
        missing = float(FLOOD)
        while missing and time.monotonic() < give_up_at:
            self._take(self._child.read_for(QUIET))
            now = self.metrics()
            if now["nats_connections_total"] > begun["nats_connections_total"]:
                self.cut_off += 1  # on a busy machine; what waited in the server is lost
                return
            dropped = now["nats_overflowed_total"] - begun["nats_overflowed_total"]
            missing = FLOOD - (self.answered - before) - dropped
        self.missing += int(missing)

    def _stop(self) -> None:
        """Keep the node from reading until the server closes its connection; what was on the way is lost."""
        connections = self.metrics()["nats_connections_total"]
        os.kill(self._child.pid, signal.SIGSTOP)
        large = b"x" * 500_000
        for _ in range(BACKLOG // len(large)):
            self._child.publish((b"c1", large))
        time.sleep(STOPPED)
        os.kill(self._child.pid, signal.SIGCONT)
        give_up_at = time.monotonic() + 60
        while self.metrics()["nats_connections_total"] == connections:
            if time.monotonic() > give_up_at:
                self._child.fail("did not connect again")
            time.sleep(0.1)
        self._child.init()


def verdicts_of(
    soak: NatsSoak, metrics: dict[str, float], status: int, errors: str, grew: Trend | None
) -> list[Verdict]:
    """Compare what the node counted with what was sent."""
    forged = metrics["nats_forged_total"]
    rpcs = sum(metrics[f"{name}_total"] for name in ("answered", "reaped", "abandoned", "closed"))
    return [
        ("floods: neither answered nor counted", f"{soak.missing}", "0", soak.missing == 0),
        ("floods: dropped and counted", f"{metrics['nats_overflowed_total']:.0f}", "any", True),
        ("floods in which the server cut the node off", f"{soak.cut_off}", "any", True),
        ("forged", f"{forged:.0f}", f"{3 * soak.bad}", forged == 3 * soak.bad),
        ("blank", f"{metrics['nats_blank_total']:.0f}", f"{soak.bad}", metrics["nats_blank_total"] == soak.bad),
        ("malformed, at least", f"{metrics['malformed_total']:.0f}", f"{2 * soak.bad}",
         metrics["malformed_total"] >= 2 * soak.bad),
        ("oversized: errors to the caller, at least", f"{soak.refused}", f"{soak.rounds}", soak.refused >= soak.rounds),
        ("connections, at least", f"{metrics['nats_connections_total']:.0f}", f"{soak.rounds + 1}",
         metrics["nats_connections_total"] > soak.rounds),
        ("RPCs that ended or are pending", f"{rpcs + metrics['pending_rpcs']:.0f}", f"{metrics['rpcs_total']:.0f}",
         rpcs + metrics["pending_rpcs"] == metrics["rpcs_total"]),
        ("exit status", f"{status}", "0", status == 0),
        ("tracebacks on stderr", f"{errors.count('Traceback')}", "0", "Traceback" not in errors),
        ("memory", f"{grew}", "flat", grew is None or grew.is_flat),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak_nats.py", description=__doc__)
    parser.add_argument("--seconds", type=seconds, default=600.0, help="how long, at least (default: 600)")
    arguments, _ = parser.parse_known_args()  # others are for soak.py
    if SERVER is None:
        print("nats-server is not installed: no soak over NATS; on Debian: apt-get install nats-server")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "nats.conf")
        configuration.write_text(f'write_deadline: "{PATIENCE}"\n', encoding="utf-8")
        with server("-c", str(configuration)) as (port, _):
            command = [*contestants.node("bench.soak_nats_node:build"), "--nats", f"nats://127.0.0.1:{port}"]
            command += ["--cluster", "bench", "--id", "n1", "--peers", "n1,n2", "--metrics", f"127.0.0.1:{port + 1}"]
            with NatsChild("the node", command, contestants.HERE.parent, port) as child:
                child.init()
                soak = NatsSoak(child, f"http://127.0.0.1:{port + 1}/metrics")
                soak.run(arguments.seconds)
                metrics = soak.metrics()
                status, errors = child.end()
    took = soak.samples[-1][0]
    grew = trend([sample for sample in soak.samples if sample[0] >= SHARE_OF_WARM_UP * took])
    verdicts = verdicts_of(soak, metrics, status, errors, grew)
    for name, found, wanted, is_well in verdicts:
        print(f"{name:45} {found:>12}  {wanted:>12}  {'' if is_well else 'WRONG'}".rstrip())
    print(f"{soak.rounds} rounds in {took:.0f} s; {soak.sent:,} requests, {soak.answered:,} replies")
    is_well = all(verdict[-1] for verdict in verdicts)
    if not is_well:
        print("the end of its stderr:\n" + errors[-3000:], file=sys.stderr)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
