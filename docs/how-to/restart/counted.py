from pathlib import Path

from trio_messenger import Body, Node, Request

LIFE = Path("life.txt")


def next_life() -> int:
    life = int(LIFE.read_text()) + 1 if LIFE.exists() else 0
    unfinished = LIFE.with_suffix(".new")
    unfinished.write_text(str(life))
    unfinished.replace(LIFE)  # at any time, the file is the old one or the new one, never a mixture
    return life


node = Node(first_msg_id=next_life() << 32)


@node.on("echo")
def echo(request: Request) -> Body:
    return {"echo": request.body["echo"]}


if __name__ == "__main__":
    node.run()
