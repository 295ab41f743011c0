from trio_messenger import Node, Request

node = Node()


@node.on("echo")
def echo(request: Request):
    return {"echo": request.body["echo"]}


if __name__ == "__main__":
    node.run()
