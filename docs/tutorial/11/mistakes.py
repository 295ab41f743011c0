from functools import partial

from keys import Keys, answer, build


class VotesForAnyone(Keys):
    def end(self):
        return [0, 0]  # as if all logs were equal


class AnswersReadsAlone(Keys):
    committed = ()  # the longest log that a majority has confirmed to this node

    async def ask_majority(self, body, field):
        if agreed := await super().ask_majority(body, field):
            self.committed = max(self.committed, body.get("log", []), key=len)
        return agreed

    async def lead(self, operation):
        is_current = self.committed and self.committed[-1][0] == self.term
        if operation["type"] == "read" and is_current:
            return answer([*self.committed, [self.term, operation]])
        return await super().lead(operation)


votes_for_anyone = partial(build, member=VotesForAnyone)
answers_reads_alone = partial(build, member=AnswersReadsAlone)
