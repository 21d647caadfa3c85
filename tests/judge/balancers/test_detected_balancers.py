import asyncio
from typing import Any

import pytest

from mocknode.judge.balancers import KINDS, MODES, probes
from mocknode.judge.verdict.detection import Detected, detect


@pytest.mark.balancer
@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind in KINDS for mode in MODES(kind)])
def test_the_real_one_is_known(kind: str, mode: str, bench: Any) -> None:
    broken = b"GET / HTTP/1.1\r\nHost: a b\r\nbroken\r\nConnection: close\r\n\r\n"

    async def run() -> Detected:
        front = bench.front()
        async with bench.node("node-1", ping=418).listening() as one:
            running = await bench.launch(kind, mode, front, [one])
            try:
                if probes(kind, mode):
                    async with asyncio.timeout(bench.limit_s):
                        await one.probed.wait()
                answers = [await bench.ask(front.http_port), await bench.ask(front.http_port, broken)]
            finally:
                await running.stop()
            return detect(answers, one.probes)

    found = asyncio.run(run())
    assert found.kind == kind, found.evidence
