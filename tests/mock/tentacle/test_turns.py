"""Turns: everything gets one, in order, and whatever else the loop has to do comes in between."""

import asyncio
import itertools

from mocknode.mock.tentacle.handshake_queue import Turns


def test_what_waits_is_done_in_order_and_others_are_served_in_between() -> None:
    async def work() -> None:
        turns, done = Turns(), list[int]()
        served = list[int]()

        def serve() -> None:
            served.append(len(done))
            if len(done) < 100:
                asyncio.get_running_loop().call_soon(serve)

        for number in range(100):
            turns.take(lambda number=number: done.append(number))  # type: ignore[misc]
        serve()
        await turns.turn()
        assert done == list(range(100))
        # Between two served never more than one turn, where a loop over all would have been a hundred.
        assert max(later - earlier for earlier, later in itertools.pairwise(served)) <= 1

    asyncio.run(work())


def test_turns_begin_again_after_a_rest() -> None:
    async def work() -> None:
        turns = Turns()
        for _ in range(3):
            await turns.turn()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        waiting = asyncio.create_task(turns.turn())
        await asyncio.sleep(0)
        waiting.cancel()
        await turns.turn()

    asyncio.run(work())
