"""A long fuzz of both parsers: `python tests/mock/halibut/fuzz_parser.py --cases 100000 --seed 1`.

Each case edits valid bytes and adds noise. The Halibut end must give the same events for any cut of them; the reader of first
bytes must say what they are, and the same for any cut. The first case that does not is printed with its number, and ends it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "tentacle")]

from test_client_hello import HELLO, read  # noqa: E402
from test_conversations import VALID, start, test_any_bytes_give_the_same_events_however_they_are_cut  # noqa: E402

same_events = test_any_bytes_give_the_same_events_however_they_are_cut.hypothesis.inner_test  # type: ignore[attr-defined]
FIRST = (
    HELLO,
    b"PROXY TCP4 192.0.2.1 127.0.0.1 1 10943\r\n" + HELLO,
    b"GET / HTTP/1.1\r\n\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n" + HELLO,
)


def edited(rng: random.Random, data: bytes) -> bytes:
    """Up to four bytes changed."""
    changed = bytearray(data)
    for _ in range(rng.randrange(5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def halibut_case(rng: random.Random, ends: Counter[str]) -> None:
    """One conversation."""
    kind, noise, seed = rng.randrange(len(VALID)), rng.randbytes(rng.randrange(40)), rng.getrandbits(32)
    edits = [(rng.randrange(10_000), rng.randrange(256)) for _ in range(rng.randrange(5))]
    same_events(kind, edits, noise, seed)
    end = start(kind)
    data = bytearray(VALID[kind] + noise)
    for at, byte in edits:
        data[at % len(data)] = byte
    last = (end.receive(bytes(data)) + end.receive_eof())[-1:]
    ends.update(str(getattr(event, "cause", type(event).__name__)) for event in last)


def hello_case(rng: random.Random, ends: Counter[str]) -> None:
    """First bytes of one connection."""
    data = edited(rng, rng.choice(FIRST))[: rng.randrange(1, 700)]
    whole, cut = read(data, []), read(data, [rng.randrange(len(data) + 1) for _ in range(3)])
    assert whole is not None
    assert cut is not None
    assert (whole.opening, whole.hello) == (cut.opening, cut.hello)
    ends[f"first bytes: {whole.opening}"] += 1


def main() -> None:
    """Run the cases and print how they ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ends: Counter[str] = Counter()
    began = time.monotonic()
    for number in range(arguments.cases):
        rng = random.Random(f"{arguments.seed}/{number}")
        try:
            (hello_case if number % 4 == 0 else halibut_case)(rng, ends)
        except Exception:
            print(f"case {number} of seed {arguments.seed}", file=sys.stderr)
            raise
    print(f"{arguments.cases} cases of seed {arguments.seed} in {time.monotonic() - began:.0f} s, none broke:")
    for end, count in ends.most_common():
        print(f"{count:8} {end}")


if __name__ == "__main__":
    main()
