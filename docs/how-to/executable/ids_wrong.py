#!/usr/bin/env python3
import json
import sys

count = 0
for line in sys.stdin:
    message = json.loads(line)
    request = message["body"]
    reply = {"type": request["type"] + "_ok", "in_reply_to": request["msg_id"]}
    if request["type"] == "init":
        name = request["node_id"]
    else:
        count += 1
        reply["id"] = f"{name}-{count}"
    print(json.dumps({"src": name, "dest": message["src"], "body": reply}), flush=True)
