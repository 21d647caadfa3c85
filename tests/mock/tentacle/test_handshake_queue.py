"""HandshakeQueue: everything gets one, in order, and whatever else the loop has to do comes in between."""

import asyncio
import itertools

from mocknode.mock.tentacle.handshake_queue import HandshakeQueue


def test_actions_run_in_order_and_other_work_runs_in_between() -> None:
    async def work() -> None:
        queue, done = HandshakeQueue(), list[int]()
        served = list[int]()

        def serve() -> None:
            served.append(len(done))
            if len(done) < 100:
                asyncio.get_running_loop().call_soon(serve)

        for number in range(100):
            queue.put(lambda number=number: done.append(number))  # type: ignore[misc]
        serve()
        await queue.wait()
        assert done == list(range(100))
        # At most one action between two rounds of other work; a plain loop would have run a hundred.
        assert max(later - earlier for earlier, later in itertools.pairwise(served)) <= 1

    asyncio.run(work())


def test_the_queue_starts_again_after_it_ran_empty() -> None:
    async def work() -> None:
        queue = HandshakeQueue()
        for _ in range(3):
            await queue.wait()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        waiting = asyncio.create_task(queue.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await queue.wait()

    asyncio.run(work())
