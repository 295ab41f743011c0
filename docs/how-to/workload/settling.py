from collections.abc import Iterator

from greatest import Greatest

from trio_messenger.sim import GeneratorContext, Invocation, Op


class Settling(Greatest):
    """At the end, each client reads until two answers in a row are the same."""

    name = "settling"
    final_pause = 0.5  # seconds

    def __init__(self) -> None:
        self.answers: dict[str, list[int]] = {}

    def update(self, op: Op) -> None:
        if op.final and op.type == "ok" and op.node is not None:
            self.answers.setdefault(op.node, []).append(op.value)

    def final_invocations(self, context: GeneratorContext) -> Iterator[Invocation]:
        while True:
            yield "read", None
            answers = self.answers.get(context.node, [])
            if len(answers) > 1 and answers[-1] == answers[-2]:
                return
