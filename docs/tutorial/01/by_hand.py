# Don't copy: see what one bad line does to it.
import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    body = request["body"]
    answer = {"type": body["type"] + "_ok", "in_reply_to": body["msg_id"]}
    if body["type"] == "echo":
        answer["echo"] = body["echo"]
    reply = {"src": request["dest"], "dest": request["src"], "body": answer}
    print(json.dumps(reply), flush=True)
