# Don't copy: it asks before anybody has told it.
from trio_messenger import Node

node = Node()
print(f"the board of {node.id} is up")

if __name__ == "__main__":
    node.run()
