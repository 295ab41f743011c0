"""The parser of the commands: its exit status, errors with suggestions, and types of option values."""

from __future__ import annotations

import argparse
import importlib
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, final

from .._protocol.known_names import nearest, unknown
from .output import print_only

GREATEST_WHOLE: Final = 2**63 - 1
"""The largest whole number; the smallest is its negative. All programs that read the files of a run can read these."""


LATEST: Final = 1e9
"""The latest time in a run, in seconds: no run is longer."""

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes of the largest file that an option may name."""


class UsageError(Exception):
    """The arguments name something that does not exist, or contradict each other; the text names the remedy."""


def import_extra(extra: str, module: str, brings: Collection[str]) -> Any:
    """Return *module*, which needs the packages that *extra* brings, for the option of the same name.

    Raises:
      UsageError: if one of the modules in *brings* is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name not in brings:
            raise
        raise UsageError(f"--{extra} needs more packages; install trio-messenger[{extra}]") from None


@final
class Parser(argparse.ArgumentParser):
    """The parser of one command, or of the whole command line.

    Takes the arguments of `argparse.ArgumentParser`. It does not accept abbreviations of options, since an abbreviation
    may become ambiguous in a later version.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, allow_abbrev=False, **given)
        self.error_status = 2
        """The exit status of the process if the arguments are wrong."""
        self.foreign: Mapping[str, str] = {}
        """Options of similar programs that users may try, each with the reason why it does not exist here."""
        self.takes_rest = False
        """True if the words after ``--`` are for another program."""

    def split(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the words before ``--`` and the words after it, if the command passes the latter on."""
        if not self.takes_rest or "--" not in words:
            return list(words), []
        border = words.index("--")
        return list(words[:border]), list(words[border + 1 :])

    def refuse(self, others: Sequence[str]) -> None:
        """End the process with an error if there are *others*, words that the parser did not know."""
        if not others:
            return
        foreign = dict.fromkeys(name for word in others if (name := word.partition("=")[0]) in self.foreign)
        if foreign:
            self.error("; ".join(f"{name} has no meaning here: {self.foreign[name]}; omit it" for name in foreign))
        word = others[0].partition("=")[0]
        near = nearest(word, self._option_string_actions)
        kind = "option" if word.startswith("-") else "argument"
        hint = f"did you mean {near}?" if near else f"see {self.prog} --help"
        self.error(f"there is no {kind} {word!r}; {hint}")

    def print_help(self, file: Any = None) -> None:
        """Print the help of the command to *file*, or to stdout; end the process if stdout cannot be written."""
        if file is not None:
            super().print_help(file)
        elif print_only(self.format_help().removesuffix("\n")) != 0:
            self.exit(self.error_status)

    def error(self, message: str) -> NoReturn:
        """Print the usage of the command and the error, and end the process."""
        self.exit(self.error_status, f"{self.format_usage()}{self.prog}: error: {message}\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Does not wrap descriptions, and does not break names in help texts at hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Version(argparse.Action):
    """Shows the version of the program and ends the process. It looks the version up only on demand."""

    def __init__(self, **given: Any) -> None:
        super().__init__(nargs=0, **given)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Show it."""
        metadata = importlib.import_module("importlib.metadata")  # this import is slow and rarely needed
        parser.exit(print_only(f"trio-messenger {metadata.version('trio-messenger')}"))


# Types of values. argparse adds their error texts to the name of the option.


def number(text: str) -> float:
    """Return *text* as a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; give one such as 5 or 0.5") from None


def moment(text: str) -> float:
    """Return *text* as a time in a run, in seconds."""
    value = number(text)
    if not abs(value) <= LATEST:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a time in a run; give seconds, such as 5 or 0.5")
    return value


def read_text(path: str) -> str:
    """Return the text of the file at *path*, which may be a pipe.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it is not UTF-8, or larger than `LARGEST_FILE`: it may be endless, like ``/dev/zero``.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE >> 20} MiB")
    try:
        return content.decode()
    except ValueError:
        raise ValueError("it is not UTF-8") from None


def whole(text: str) -> int:
    """Return *text* as a whole number."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a whole number; give one such as 5") from None
    if not -GREATEST_WHOLE <= value <= GREATEST_WHOLE:
        raise argparse.ArgumentTypeError(f"{text:.80} does not fit into 64 bits; give a number such as 5")
    return value


def duration(text: str) -> float:
    """Return *text* as a positive number of seconds."""
    value = number(text)
    if value > LATEST:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is too long; give {LATEST:,.0f} seconds or less")
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not a duration; give seconds, such as 5 or 0.5")
    return value


def count(greatest: int, *, least: int = 1) -> Callable[[str], int]:
    """Return a function that converts a text to a whole number from *least* to *greatest*."""

    def check(text: str) -> int:
        value = whole(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is too few; give {least} or more")
        if value > greatest:
            raise argparse.ArgumentTypeError(f"{value} is too many; give {greatest:,} or fewer")
        return value

    return check


def folder(text: str) -> Path:
    """Return *text* as the path of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a folder")
    return Path(text)


def fraction_or_total(text: str) -> Any:
    """Return *text* as a number, or ``total``."""
    if text == "total":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction; give one from 0 to 1, or: total") from None


def workers(text: str) -> tuple[int, bool]:
    """Return the number in *text*, and True if it counts clients per node: ``10`` or ``2n``."""
    found = re.fullmatch(r"(\d+)(n?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of clients; give one such as 10, or 2n for two per node"
        )
    return int(found[1]), bool(found[2])


def names(text: str) -> list[str]:
    """Return the names in *text*, which are separated by commas."""
    return [name.strip() for name in text.split(",")]


def reason_of(exc: OSError | ValueError) -> str:
    """Return why a file cannot be read or written, given the exception of `read_text` or of the system."""
    return f"{exc.strerror}" if isinstance(exc, OSError) else f"{exc}"


def first_line(option: str, path: str) -> str:
    """Return the first line of the file at *path*, a password.

    Raises:
      OSError, ValueError: if the file cannot be read, as `read_text` does.
      UsageError: if the line is empty; the text names *option*.
    """
    lines = read_text(path).splitlines()
    if not lines or not lines[0]:
        raise UsageError(f"{option} {path!r}: its first line is empty; write the password there")
    return lines[0]


def names_in_file(path: str) -> list[str]:
    """Return the names in the file at *path*, one a line."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as exc:
        raise argparse.ArgumentTypeError(f"{path!r}: {reason_of(exc)}; give a file with one id a line") from None
    found = [name for line in lines if (name := line.strip())]
    if not found:
        raise argparse.ArgumentTypeError(f"{path!r} has no ids; give a file with one id a line")
    return found


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """Return a function that returns its argument if it is one of *known*."""
    there_is = list(known)

    def check(name: str) -> str:
        if name not in there_is:
            raise argparse.ArgumentTypeError(unknown(kind, name, there_is))
        return name

    return check


def some_of(kind: str, known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that returns the names in its argument if all of them are in *known*."""
    check: Final = one_of(kind, known)
    return lambda text: [check(name) for name in names(text)]
