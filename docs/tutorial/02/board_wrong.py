# Don't copy: it believes that it knows who it is.
from trio_messenger import Node, Request

NAME, OTHERS = "n1", ["n2", "n3"]

node = Node()
messages = []


@node.on("broadcast")
def broadcast(request: Request):
    messages.append(request.body["message"])
    return {}


@node.on("read")
def read():
    return {"messages": messages}


@node.on("who")
def who():
    return {"name": NAME, "others": OTHERS}


if __name__ == "__main__":
    node.run()
