"""Network namespaces as machines: each has its own network, on one bridge, and a second link for whoever tests it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
from types import TracebackType
from typing import Self


@functools.cache
def why_not() -> str | None:
    """Return why this system has no network namespaces for us; None if it has."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the command ip; on Debian: apt-get install iproute2"
    try:
        with Machines(1, tag="tmx"):
            return None
    except subprocess.CalledProcessError as exc:
        return f"network namespaces do not work here: {exc.stderr.strip()}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Machines:
    """*count* machines with the numbers 1, 2 and so on; made when it is entered, and removed when it is left."""

    def __init__(self, count: int, tag: str = "tm") -> None:
        self.numbers = range(1, count + 1)
        self._tag = f"{tag}{os.getpid() % 100_000}"
        self._net = 64 + os.getpid() % 64  # so that two tests do not share addresses

    def address(self, number: int) -> str:
        """Return the address of a machine on the network that can be cut."""
        return f"10.{self._net}.0.{number}"

    def tested_at(self, number: int) -> str:
        """Return the address at which we reach a machine, also when its network is cut."""
        return f"10.{self._net}.{number}.2"

    def command(self, number: int, *words: str) -> list[str]:
        """Return the command that runs *words* on a machine."""
        return ["ip", "netns", "exec", self._name(number), *words]

    def cut(self, number: int) -> None:
        """Pull the plug of a machine."""
        ip("link", "set", f"{self._tag}c{number}", "down")

    def join(self, number: int) -> None:
        """Plug it in again."""
        ip("link", "set", f"{self._tag}c{number}", "up")

    def __enter__(self) -> Self:
        try:
            ip("link", "add", f"{self._tag}b", "type", "bridge")
            ip("link", "set", f"{self._tag}b", "up")
            for number in self.numbers:
                self._add(number)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._remove()

    def _name(self, number: int) -> str:
        return f"{self._tag}m{number}"

    def _add(self, number: int) -> None:
        name = self._name(number)
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")
        for kind, inside, address in (("c", "net0", self.address(number)), ("t", "test0", self.tested_at(number))):
            outside = f"{self._tag}{kind}{number}"
            ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", inside)
            ip("-n", name, "link", "set", inside, "up")
            if kind == "c":
                ip("link", "set", outside, "master", f"{self._tag}b")
            else:
                ip("addr", "add", f"{address[:-1]}1/24", "dev", outside)
            ip("link", "set", outside, "up")

    def _remove(self) -> None:
        commands = [["netns", "del", self._name(number)] for number in self.numbers]
        commands += [["link", "del", f"{self._tag}{kind}{number}"] for kind in "ct" for number in self.numbers]
        for words in [*commands, ["link", "del", f"{self._tag}b"]]:
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*words)
