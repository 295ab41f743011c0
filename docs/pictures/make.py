"""Make the pictures of the documentation: `python docs/pictures/make.py` all, `make.py NAME.svg ...` those named.

Each other module in this folder, except `drawing`, has `PICTURES`: names of files, each with a function that returns
the text of the file, always the same. `--to DIR` writes into another folder than this one, which is how a test sees
that what is here is up to date. Needs what the tests need.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent


def pictures() -> dict[str, Callable[[], str]]:
    """Return what makes each picture, by the name of its file."""
    sys.path.insert(0, str(HERE))  # Python may have been told not to look beside the program
    found: dict[str, Callable[[], str]] = {}
    for path in sorted(HERE.glob("*.py")):
        if path not in (Path(__file__), HERE / "drawing.py"):
            module = load(path, f"pictures_{path.stem}")
            twice = found.keys() & module.PICTURES.keys()
            if twice:
                sys.exit(f"error: {path.name} makes {min(twice)}, and so does another module")
            found.update(module.PICTURES)
    return found


def load(path: Path, name: str):
    """Import the file at *path* as module *name*."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME.svg", help="by default all")
    parser.add_argument("--to", type=Path, default=HERE, metavar="DIR", help="where to write (default: beside this)")
    options = parser.parse_args()
    functions = pictures()
    for name in options.names or functions:
        if name not in functions:
            parser.error(f"nothing makes {name!r}; there are: {', '.join(functions)}")
        (options.to / name).write_text(functions[name](), encoding="utf-8", newline="\n")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
