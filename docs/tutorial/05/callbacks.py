from trio_messenger import Node, Request

node = Node()
messages = []


@node.on("broadcast")
def broadcast(request: Request):
    note = request.body["message"]
    messages.append(note)
    answers = []

    def told(outcome):
        if isinstance(outcome, Exception):
            print(f"{note!r}: {outcome}")
            return
        answers.append(outcome)
        if len(answers) == len(node.peers):
            node.reply_nowait(request, {})

    for peer in node.peers:
        node.rpc_callback(peer, {"type": "tell", "message": note}, told, timeout=0.5)


@node.on("pending_count")
def pending_count():
    return {"count": len(node.pending)}


if __name__ == "__main__":
    node.run()
