"""Text from outside, as it is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.cli.tables import render
from mocknode.text.foreign import plain, plain_lines, require_printable

TITLE = "a\x1b]0;pwned\x07b\x9b2J\u202ec"
"""Sets the title of a terminal, clears its screen, and reverses what follows."""


def test_commands_to_a_terminal_become_visible() -> None:
    assert plain(TITLE) == "a�]0;pwned�b�2J�c"
    assert plain(" two\n lines\t") == "two lines"
    assert plain_lines(f"  {TITLE}\n\nend") == "  a�]0;pwned�b�2J�c\n\nend"


@given(text=st.text(), columns=st.lists(st.text(), min_size=1, max_size=3))
def test_nothing_that_is_shown_commands_a_terminal(text: str, columns: list[str]) -> None:
    shown = (
        plain(text) + plain_lines(text).replace("\n", "") + render(["x"] * len(columns), [columns]).replace("\n", "")
    )
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e" for c in shown)


def test_a_name_has_no_control_characters() -> None:
    assert require_printable("Web Shop ü") == "Web Shop ü"
    with pytest.raises(ValueError, match="allowed: printable characters"):
        require_printable(TITLE)
