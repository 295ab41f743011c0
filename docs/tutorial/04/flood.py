import json
import os
import random
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.argv[1])
LOSS = float(sys.argv[2])
NOTES = int(sys.argv[3])

chance = random.Random(1)
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
node = subprocess.Popen([sys.executable, PROGRAM], text=True, **PIPES)
answered = 0


def ask(src, body):
    """Send what a client says; it is never lost."""
    node.stdin.write(json.dumps({"src": src, "dest": "n1", "body": body}) + "\n")
    node.stdin.flush()


def answer_tell():
    """Take one RPC of the node, and answer it as its peer would, unless the network loses a message."""
    message = json.loads(node.stdout.readline())
    if chance.random() < LOSS or chance.random() < LOSS:
        return False
    reply = {"type": "tell_ok", "in_reply_to": message["body"]["msg_id"]}
    node.stdin.write(json.dumps({"src": message["dest"], "dest": "n1", "body": reply}) + "\n")
    return True


def megabytes():
    """Look up how much memory the node has, where Linux tells it."""
    pages = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


ask("c0", {"type": "init", "msg_id": 0, "node_id": "n1", "node_ids": ["n1", "n2", "n3"]})
node.stdout.readline()
figures = [{"notes": 0, "callbacks": 0, "megabytes": megabytes()}]
for number in range(1, NOTES + 1):
    ask("c1", {"type": "broadcast", "msg_id": number, "message": f"note {number}"})
    replies = [answer_tell(), answer_tell()]
    node.stdin.flush()
    if all(replies):
        node.stdout.readline()
        answered += 1
    if number % (NOTES // 5) == 0:
        ask("c1", {"type": "pending_count", "msg_id": number})
        count = json.loads(node.stdout.readline())["body"]["count"]
        figures.append({"notes": number, "callbacks": count, "megabytes": megabytes()})
        print(f"{number:7} notes, {answered:7} answered, {count:6} callbacks wait", flush=True)
node.stdin.close()
node.wait()
Path(f"{PROGRAM.stem}-{LOSS}.json").write_text(json.dumps(figures))
