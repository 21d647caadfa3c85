"""The C library's search and Python's own say the same."""

import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.packages.searching import find

# Few letters, so that needles and almost-needles are common.
TEXT = st.lists(st.sampled_from(b"\r\n-ab\0"), max_size=200).map(bytes)


def batch_of(content: bytes) -> mmap.mmap:
    batch = mmap.mmap(-1, max(1, len(content)))  # there is no empty one
    batch[: len(content)] = content
    return batch


@given(data=TEXT, needle=TEXT.filter(bool))
def test_both_searches_agree(data: bytes, needle: bytes) -> None:
    assert find(data, needle) == data.find(needle)
    padded = data or b"\0"
    assert find(batch_of(data), needle) == padded.find(needle)


@pytest.mark.parametrize("at", [0, 1, 4096, 1_000_000 - 6])
def test_a_boundary_is_found_wherever_it_stands(at: int) -> None:
    data = batch_of(bytes(1_000_000))
    data[at : at + 6] = b"\r\n--ab"
    assert find(data, b"\r\n--ab") == at
    data[at] = 0
    assert find(data, b"\r\n--ab") == -1


def test_nothing_holds_the_batch_afterwards() -> None:
    data = batch_of(b"abc")
    find(data, b"c")
    data.close()  # raises BufferError while somebody looks at it
    assert data.closed
