"""Test a real cluster while a schedule of faults happens to it: python real_faults.py NODE FAULTS TEST-ARGUMENTS

Each node is a process with a NATS server of its own, and the clients have another one. Servers talk to each other
through proxies, so a link between two nodes can be cut while clients still reach both.
"""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
from itertools import combinations
from pathlib import Path

import trio

NODES = ["n1", "n2", "n3"]
HERE = "127.0.0.1"
CLIENTS = "clients"  # the server of the clients
PROGRAM = [sys.executable, "-m", "trio_messenger"]
with contextlib.ExitStack() as stack:  # ports on which nobody listens, all at once, so that none comes twice
    FREE = [stack.enter_context(socket.create_server((HERE, 0))).getsockname()[1] for _ in range(11)]
# Of each server, for its clients and for other servers; then that of the proxy between each two nodes.
PORTS, ROUTES = (dict(zip([*NODES, CLIENTS], FREE[at : at + 4], strict=True)) for at in (0, 4))
PAIRS = dict(zip(combinations(NODES, 2), FREE[8:], strict=True))


class Proxy:
    """Carries the bytes between two servers, unless it is cut."""

    def __init__(self) -> None:
        self.cuts = 0
        self.scopes: set[trio.CancelScope] = set()

    def change(self, by: int) -> None:
        self.cuts += by
        for scope in list(self.scopes):
            scope.cancel()  # a cut breaks connections; so does its end, which changes nothing

    async def carry(self, near: trio.SocketStream, port: int) -> None:
        with trio.CancelScope() as scope:
            self.scopes.add(scope)
            async with near:
                if not self.cuts:
                    with contextlib.suppress(OSError):  # the server does not listen yet
                        far = await trio.open_tcp_stream(HERE, port)
                        async with far, trio.open_nursery() as nursery:
                            nursery.start_soon(pump, near, far, scope)
                            nursery.start_soon(pump, far, near, scope)
        self.scopes.discard(scope)


async def pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except trio.BrokenResourceError:
        pass
    scope.cancel()


def server(name: str, folder: Path) -> list[str]:
    """Return the command of a server. It connects to those before it: nodes through proxies, clients directly."""
    if name == CLIENTS:
        routes = [ROUTES[node] for node in NODES]
    else:
        routes = [port for (_, second), port in PAIRS.items() if second == name]
    urls = ", ".join(f"nats-route://{HERE}:{port}" for port in routes)
    config = folder / f"{name}.conf"
    config.write_text(
        f"server_name: {name}\nlisten: {HERE}:{PORTS[name]}\n"
        # Nobody listens at the advertised port, so servers do not find ways around the proxies.
        f'cluster {{ name: c, listen: {HERE}:{ROUTES[name]}, advertise: "{HERE}:9", routes: [{urls}] }}\n'
    )
    return ["nats-server", "-c", str(config)]


def node_command(node: str, name: str) -> list[str]:
    nats = ["--nats", f"nats://{HERE}:{PORTS[name]}", "--cluster", "demo"]
    return [*PROGRAM, "node", node, *nats, "--id", name, "--peers", ",".join(NODES)]


class Cluster:
    """The processes, and the proxies between the servers."""

    def __init__(self, node: str, folder: Path) -> None:
        self.node = node
        self.folder = folder
        self.processes: dict[str, subprocess.Popen] = {}
        self.proxies = {pair: Proxy() for pair in PAIRS}

    def start_servers(self) -> None:
        for name in PORTS:
            self.processes[f"server of {name}"] = subprocess.Popen(server(name, self.folder), stderr=subprocess.DEVNULL)

    def start_node(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(node_command(self.node, name))

    def kill_all(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    async def serve_proxy(self, pair: tuple[str, str]) -> None:
        async def carry(stream: trio.SocketStream) -> None:
            await self.proxies[pair].carry(stream, ROUTES[pair[0]])

        await trio.serve_tcp(carry, PAIRS[pair], host=HERE)

    async def happen(self, fault: dict) -> None:
        """Let a fault begin and end, some seconds from now."""
        await trio.sleep(fault["at"])
        self.change(fault, begins=True)
        await trio.sleep(fault["until"] - fault["at"])
        self.change(fault, begins=False)

    def change(self, fault: dict, *, begins: bool) -> None:
        print(f"{fault['kind']} {'begins' if begins else 'ends'}", file=sys.stderr)
        for pair in {tuple(sorted(link)) for link in fault.get("links", [])}:
            self.proxies[pair].change(1 if begins else -1)
        for name in fault.get("nodes", []):
            if fault["kind"] == "pause":
                self.processes[name].send_signal(signal.SIGSTOP if begins else signal.SIGCONT)
            elif begins:
                self.processes[name].kill()
            else:
                self.start_node(name)


async def main(cluster: Cluster, faults: list[dict], arguments: list[str]) -> int:
    async with trio.open_nursery() as nursery:
        for pair in PAIRS:
            nursery.start_soon(cluster.serve_proxy, pair)
        cluster.start_servers()
        await trio.sleep(3)  # the servers find each other
        for name in NODES:
            cluster.start_node(name)
        nats = ["--nats", f"nats://{HERE}:{PORTS[CLIENTS]}", "--cluster", "demo", "--nodes", ",".join(NODES)]
        command = [*PROGRAM, "test", *nats, *arguments, "--log-net-send"]
        test = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE)
        log = b""
        async for chunk in test.stderr:
            log += chunk
            if log.startswith(b"0.") or b"\n0." in log:  # messages before the main phase begin with "set-up"
                break
        for fault in faults:
            nursery.start_soon(cluster.happen, fault)
        async for chunk in test.stderr:
            log += chunk
        nursery.cancel_scope.cancel()
    if await test.wait() not in (0, 1, 2):
        print(log.decode(), file=sys.stderr)
    return test.returncode


if __name__ == "__main__":
    schedule = json.loads(Path(sys.argv[2]).read_text())
    if isinstance(schedule, dict):  # the schedule.json of a run
        schedule = schedule["options"]["faults"]
    with tempfile.TemporaryDirectory() as name:
        made = Cluster(sys.argv[1], Path(name))
        try:
            sys.exit(trio.run(main, made, schedule, sys.argv[3:]))
        finally:
            made.kill_all()
