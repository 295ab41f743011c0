from board import PATIENCE, build

from trio_messenger.testing import assert_no_rpc_leaked, running


async def test_a_note_is_pinned_once():
    async with running(build()) as network:
        await network.request("tell", src="n2", note=7)
        await network.request("tell", src="n3", note=7)
        assert (await network.request("read"))["messages"] == [7]


async def test_a_peer_that_does_not_answer_is_not_waited_for(autojump_clock):
    node = build()
    async with running(node) as network:
        await network.send("c1", {"type": "broadcast", "message": 7, "msg_id": 1})
        to_n2, to_n3 = await network.receive(), await network.receive()
        assert (to_n2.dest, to_n3.dest) == ("n2", "n3")
        await network.reply(to_n2, {"type": "tell_ok"})
        await network.receive_nothing()
        answer = await network.receive()
        assert (answer.dest, answer.body["type"]) == ("c1", "broadcast_ok")
        assert autojump_clock.current_time() == PATIENCE
    assert_no_rpc_leaked(node)
