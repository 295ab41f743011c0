"""The declaration of an option of ``trio-messenger test``: its words on the command line, and their values.

Each field of `Options` has an `Option` in its metadata. It has three uses. The command line makes its parser and its
help from the arguments (`trio_messenger/_cli/arguments.py`). It computes the value of the option from the typed values
with `Option.read`. The "run it again" command uses `Option.write` (`sim/_judging/command_lines.py`). So each option is
declared in one place, and none of the three can forget it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias, final

import attrs

from ..._protocol.known_names import unknown

_KEY: Final = "option"
"""The key of the `Option` in the metadata of a field."""


@final
class Group(enum.Enum):
    """The groups of the help, in their order."""

    TESTED = "the workload and the nodes"
    CLUSTER = "the cluster"
    CLIENTS = "the clients"
    NETWORK = "the network, between nodes, and between nodes and services"
    FAULTS = "faults"
    CHANCE = "randomness"


@final
class ValueKind(enum.Enum):
    """The kind of a value. The command line has a parser for each kind, in ``PARSERS``."""

    NUMBER = enum.auto()
    WHOLE = enum.auto()
    FRACTION_OR_TOTAL = enum.auto()
    CLIENTS = enum.auto()
    """A number of clients, or of clients for each node: a pair of the number and whether it is for each node."""
    NODE_COUNT = enum.auto()
    ID = enum.auto()
    """One id, or one name. The word may be typed several times, and its value is a list."""
    IDS = enum.auto()
    FILE_OF_IDS = enum.auto()
    FAULTS = enum.auto()
    """Faults as JSON, or the name of a file with them."""
    WORKLOAD = enum.auto()
    """The name of a workload, or ``MODULE:CLASS``."""


@final
@attrs.frozen
class OneOf:
    """A kind: one of the *known* names; as an attrs validator, it refuses all others."""

    what: str
    """The meaning of a name, such as ``topology``."""
    known: Collection[str]

    def __call__(self, _: object, __: object, name: str) -> None:
        """Refuse a *name* that is not known.

        Raises:
          ValueError: if it is not known; the text lists the known names.
        """
        if name not in self.known:
            raise ValueError(unknown(self.what, name, self.known))


@final
@attrs.frozen
class SomeOf:
    """A kind: some of the *known* names, with commas between them."""

    what: str
    """The meaning of a name, such as ``nemesis``."""
    known: Collection[str]


@final
@attrs.frozen
class Argument:
    """One word of the command line and its value, such as ``--rate R``."""

    words: str
    """The word, such as ``--rate``, or its two forms, such as ``-w --workload``. Commands have the first one."""
    metavar: str
    """The name of the value in the help."""
    kind: ValueKind | OneOf | SomeOf
    help: str
    """The help text, without the known names and without the default."""
    default: str | None = attrs.field(default=None, kw_only=True)
    """The default as the help shows it; by default, the field's own; empty if the help shows none."""
    excludes: bool = attrs.field(default=False, kw_only=True)
    """Whether it excludes the other arguments of its option that have this mark."""

    @property
    def dest(self) -> str:
        """The name of its typed value, which is the name of the field if the option has one argument."""
        return self.words.split()[-1].lstrip("-").replace("-", "_")


Typed: TypeAlias = Mapping[str, Any]
"""The typed values, by `Argument.dest`. The value is None if the argument was not typed."""

ReadOption: TypeAlias = Callable[[Typed, Mapping[str, Any]], Any]
"""Returns the value of an option, or None for its default.

Takes what was typed, and the values of the options that are declared before it."""

WriteOption: TypeAlias = Callable[[Any, Any], Mapping[str, object]]
"""Returns the words of an option with their values, or none, if the option has its default.

Takes all options, and the default options for the same workload and nodes."""


@final
@attrs.frozen(kw_only=True)
class Option:
    """The declaration of an option."""

    group: Group
    """Its group in the help."""
    arguments: tuple[Argument, ...]
    """The arguments that set it; usually one, with the name of the field."""
    read: ReadOption
    write: WriteOption
    always: bool
    """Whether it is written even if it has its default. It then stands at the beginning of the command."""
    late: bool
    """Whether it stands at the end of the command."""


def option(
    group: Group,
    *arguments: Argument,
    read: ReadOption | None = None,
    write: WriteOption | None = None,
    always: bool = False,
    late: bool = False,
) -> dict[str, Option]:
    """Return the metadata of a field of `Options`.

    Args:
      group: Its group in the help.
      arguments: The arguments that set it; usually one, with the name of the field.
      read: How the option follows from what was typed; by default, it is the value of the first argument.
      write: The opposite; by default, the first argument is written, unless the option has its default.
      always: Whether it is written even if it has its default.
      late: Whether it stands at the end of the command.
    """
    first = arguments[0]

    def write_word(options: Any, usual: Any) -> Mapping[str, object]:
        value = getattr(options, first.dest)
        return {first.words.split()[0]: value} if always or value != getattr(usual, first.dest) else {}

    return {
        _KEY: Option(
            group=group,
            arguments=arguments,
            read=read or (lambda typed, _: typed[first.dest]),
            write=write or write_word,
            always=always,
            late=late,
        )
    }


def options_of(record: type[attrs.AttrsInstance]) -> dict[str, Option]:
    """Return the declaration of each field of *record*, in their order.

    Raises:
      TypeError: if a field has none; the text names it.
    """
    for field in attrs.fields(record):
        if _KEY not in field.metadata:
            raise TypeError(f"the option {field.name!r} has no declaration; give its field metadata=option(...)")
    return {field.name: field.metadata[_KEY] for field in attrs.fields(record)}


def as_typed(value: object) -> str:
    """Return *value* as a person types it: 5 for 5.0, and commas between names."""
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return ",".join(value) if isinstance(value, tuple) else str(value)
