"""What the commands' parsers share: exit statuses, errors that say what was meant, and values of options."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, final

from .output import put

GREATEST_WHOLE: Final = 2**63 - 1
"""The greatest whole number; the least one is its negative. The files of a run, and other programs, can read them."""


LATEST: Final = 1e9
"""Seconds: no run is longer."""

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes of a file that an option names."""


class UsageError(Exception):
    """The arguments name something that is not there, or do not go together; the text says what would."""


@final
class Parser(argparse.ArgumentParser):
    """A parser of one command, or of all of them.

    Takes the arguments of `argparse.ArgumentParser`. Options are not abbreviated: what is an abbreviation today may
    be ambiguous tomorrow.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, allow_abbrev=False, **given)
        self.error_status = 2
        """What the process returns if the arguments are wrong."""
        self.foreign: Mapping[str, str] = {}
        """Options of other programs that somebody may bring along, each with why it means nothing here."""
        self.takes_rest = False
        """Whether what comes after ``--`` is not for this program."""

    def split(self, words: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return *words* up to ``--``, and those after it, if the command hands them on."""
        if not self.takes_rest or "--" not in words:
            return list(words), []
        border = words.index("--")
        return list(words[:border]), list(words[border + 1 :])

    def refuse(self, unknown: Sequence[str]) -> None:
        """End the process with an error if there are words that the parser did not know."""
        if not unknown:
            return
        foreign = dict.fromkeys(name for word in unknown if (name := word.partition("=")[0]) in self.foreign)
        if foreign:
            self.error("; ".join(f"{name} has no meaning here: {self.foreign[name]}; omit it" for name in foreign))
        word = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(word, self._option_string_actions, n=1)
        kind = "option" if word.startswith("-") else "argument"
        hint = f"did you mean {near[0]}?" if near else f"see {self.prog} --help"
        self.error(f"there is no {kind} {word!r}; {hint}")

    def error(self, message: str) -> NoReturn:
        """End the process: say how the command is used, and what is wrong."""
        self.exit(self.error_status, f"{self.format_usage()}{self.prog}: error: {message}\n")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves descriptions as they are, and the names in help texts whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Version(argparse.Action):
    """Shows the version of the program, which is looked up only when it is asked for, and ends the process."""

    def __init__(self, **given: Any) -> None:
        super().__init__(nargs=0, **given)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Show it."""
        metadata = importlib.import_module("importlib.metadata")  # which takes a while, and is seldom needed
        put(f"trio-messenger {metadata.version('trio-messenger')}")
        parser.exit()


# Values. What is wrong with one argparse puts behind the name of the option.


def number(text: str) -> float:
    """Return the number that *text* says."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number; give one such as 5 or 0.5") from None


def moment(text: str) -> float:
    """Return the seconds of a run that *text* says."""
    value = number(text)
    if not abs(value) <= LATEST:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no moment of a run; give seconds, such as 5 or 0.5")
    return value


def read_text(path: str) -> str:
    """Return the text of the file at *path*, which may be a pipe.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it is no UTF-8, or seems to have no end, as ``/dev/zero``.
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
    """Return the whole number that *text* says."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is no whole number; give one such as 5") from None
    if not -GREATEST_WHOLE <= value <= GREATEST_WHOLE:
        raise argparse.ArgumentTypeError(f"{text:.80} does not fit into 64 bits; give a number such as 5")
    return value


def count(greatest: int) -> Callable[[str], int]:
    """Return a function that returns the whole number in its text, if that is from 1 to *greatest*."""

    def check(text: str) -> int:
        value = whole(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"{value} is too few; give 1 or more")
        if value > greatest:
            raise argparse.ArgumentTypeError(f"{value} is too many; give {greatest:,} or fewer")
        return value

    return check


def folder(text: str) -> Path:
    """Return the path of the folder that *text* says."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; give a folder")
    return Path(text)


def fraction_or_total(text: str) -> Any:
    """Return ``total`` or the number that *text* says."""
    if text == "total":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no fraction; give one from 0 to 1, or: total") from None


def workers(text: str) -> tuple[int, bool]:
    """Return the number that *text* says, and whether it is for each node: ``10`` or ``2n``."""
    found = re.fullmatch(r"(\d+)(n?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of clients; give one such as 10, or 2n for two for each node"
        )
    return int(found[1]), bool(found[2])


def names(text: str) -> list[str]:
    """Return the names that *text* says, with commas between them."""
    return [name.strip() for name in text.split(",")]


def names_in_file(path: str) -> list[str]:
    """Return the names in the file at *path*, one a line."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise argparse.ArgumentTypeError(f"{path!r}: {reason}; give a file with one id a line") from None
    found = [name for line in lines if (name := line.strip())]
    if not found:
        raise argparse.ArgumentTypeError(f"{path!r} has no ids; give a file with one id a line")
    return found


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """Return a function that returns the name it is given, if it is one of *known*."""
    there_is = list(known)

    def check(name: str) -> str:
        if name not in there_is:
            near = difflib.get_close_matches(name, there_is, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise argparse.ArgumentTypeError(f"there is no {kind} {name!r}{hint} There are: {', '.join(there_is)}")
        return name

    return check


def some_of(kind: str, known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function that returns the names in the text it is given, if all are among *known*."""
    check: Final = one_of(kind, known)
    return lambda text: [check(name) for name in names(text)]
