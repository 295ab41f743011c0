import trio
from board import node


def show(task, depth=0):
    where = ""
    for frame, line in task.iter_await_frames():
        if frame.f_globals["__name__"] == "board":
            where = f" <- waits in board.py, line {line}"
    print("    " * depth + task.name.removeprefix("trio_messenger.") + where)
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda child: child.name):
            show(child, depth + 1)


@node.background
async def look():
    await trio.sleep(0.5)
    show(trio.lowlevel.current_task().parent_nursery.parent_task)


node.run()
