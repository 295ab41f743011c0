from trio_messenger import Node, Request

node = Node()
messages = []


@node.on_init
def begin():
    print(f"the board of {node.id} is up; the others are {node.peers}")


@node.on("broadcast")
def broadcast(request: Request):
    messages.append(request.body["message"])
    return {}


@node.on("read")
def read():
    return {"messages": messages}


@node.on("who")
def who():
    return {"name": node.id, "others": node.peers}


if __name__ == "__main__":
    node.run()
