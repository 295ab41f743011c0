# Don't copy: what is put into `callbacks` may stay there forever.
import itertools
import json
import sys

init = json.loads(sys.stdin.readline())
node_id = init["body"]["node_id"]
peers = [name for name in init["body"]["node_ids"] if name != node_id]
messages = []
callbacks = {}
msg_ids = itertools.count(1)


def send(dest, body):
    print(json.dumps({"src": node_id, "dest": dest, "body": body}), flush=True)


def reply(request, body):
    body_type = request["body"]["type"] + "_ok"
    send(request["src"], {"type": body_type, **body, "in_reply_to": request["body"]["msg_id"]})


def rpc(dest, body, callback):
    msg_id = next(msg_ids)
    callbacks[msg_id] = callback
    send(dest, {**body, "msg_id": msg_id})


def broadcast(request):
    note = request["body"]["message"]
    messages.append(note)
    missing = set(peers)

    def told(answer):
        missing.remove(answer["src"])
        if not missing:
            reply(request, {})

    for peer in peers:
        rpc(peer, {"type": "tell", "message": note}, told)


def pending_count(request):
    reply(request, {"count": len(callbacks)})


handlers = {"broadcast": broadcast, "pending_count": pending_count}
reply(init, {})
for line in sys.stdin:
    message = json.loads(line)
    if "in_reply_to" in message["body"]:
        callback = callbacks.pop(message["body"]["in_reply_to"])
        callback(message)
    else:
        handlers[message["body"]["type"]](message)
