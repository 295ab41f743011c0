from functools import partial

from keys import Keys, answer, build


class VotesForAnyone(Keys):
    def is_up_to_date(self, _end):
        return True


class AnswersReadsAlone(Keys):
    committed = ()

    async def ask_majority(self, body, field):
        if agreed := await super().ask_majority(body, field):
            self.committed = max(self.committed, body.get("log", []), key=len)
        return agreed

    async def lead(self, operation):
        if operation["type"] == "read" and self.committed and self.committed[-1][0] == self.term:
            return answer([*self.committed, [self.term, operation]])
        return await super().lead(operation)


votes_for_anyone = partial(build, member=VotesForAnyone)
answers_reads_alone = partial(build, member=AnswersReadsAlone)
