"""EDN as Clojure writes it: values as text, for the reader, and ways to damage a text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

SCALARS = (None, True, False, 0, -7, 10**25, 1.5, -0.25, "", "a", 'q"\\\n', "é😀", "3", "key with blanks")


def random_value(random: Random, depth: int = 3) -> Any:
    """Return a JSON value of at most *depth* collections inside each other."""
    kind = random.randrange(6 if depth else 3)
    if kind < 3:
        return random.choice(SCALARS)
    size = random.randrange(4)
    if kind == 3:
        return {f"{random.choice('abc')}{index}": random_value(random, depth - 1) for index in range(size)}
    return [random_value(random, depth - 1) for _ in range(size)]


def written(value: Any, random: Random) -> str:
    """Return *value* in EDN, in one of the forms that mean the same for us, with blanks and comments of all kinds."""
    gap = random.choice((" ", ", ", "\n", " ; no }\n", " #_ ignored ", "  #_[1 {:a #_ 2 3}] "))
    if isinstance(value, list):
        items = gap.join(written(each, random) for each in value)
        is_set = value and len({json.dumps(each) for each in value}) == len(value)
        return random.choice((f"[{items}]", f"({items})", *([f"#{{{items}}}"] if is_set else [])))
    if isinstance(value, dict):
        text = f"{{{gap.join(f'{written(k, random)}{gap}{written(v, random)}' for k, v in value.items())}}}"
    elif isinstance(value, str):
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
        if value.isalnum() and value[0].isalpha() and value.isascii():
            text = random.choice((text, f":{value}"))
    elif value is None or isinstance(value, bool):
        text = {None: "nil", True: "true", False: "false"}[value]
    else:
        text = f"{value}{'N' * (isinstance(value, int) and random.random() < 0.5)}"
    return f"#some.package.Tag{gap}{text}" if random.random() < 0.1 else f"{text}"


def damaged(text: bytes, random: Random) -> Iterator[bytes]:
    """Yield *text* with a byte changed, removed or inserted, endlessly; often one that means something."""
    while True:
        at = random.randrange(len(text))
        byte = bytes([random.choice((random.randrange(256), *b'{}[]()#:"\\;_ \n,01Nn'))])
        yield text[:at] + random.choice((b"", byte)) + text[at + random.randrange(2) :]
