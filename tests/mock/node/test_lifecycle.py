import itertools

import pytest

from mocknode.mock.node.lifecycle import ONLINE, TRANSITIONS, Form, State, StateError, parse_condition, step

EVERY = [
    parse_condition("online"),
    parse_condition("draining"),
    parse_condition("starting"),
    *(parse_condition("offline", how) for how in ("refuse", "crash", "freeze", "blackhole", "status:503", "garbage")),
]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(EVERY, EVERY)))
def test_every_pair_moves_as_the_table_says_or_is_refused(before, after):
    if after.key in TRANSITIONS[before.key]:
        assert step(before, after) is after
    else:
        with pytest.raises(StateError, match="cannot become"):
            step(before, after)


def test_a_node_is_patched_as_the_vendor_documents_it():
    condition = ONLINE
    for state, how in [("draining", None), ("offline", "refuse"), ("draining", None), ("online", None)]:
        condition = step(condition, parse_condition(state, how))
    assert condition == ONLINE


@pytest.mark.parametrize(("how", "wanted"), [("crash", "freeze"), ("crash", "refuse"), ("freeze", "blackhole")])
def test_a_dead_or_stopped_process_takes_no_other_form(how, wanted):
    with pytest.raises(StateError, match=r"allowed now: .*online"):
        step(parse_condition("offline", how), parse_condition("offline", wanted))


def test_offline_alone_means_refuse():
    assert parse_condition("offline").form is Form.REFUSE


def test_how_is_written_as_it_was_read():
    assert [c.how for c in EVERY] == [
        None,
        None,
        None,
        "refuse",
        "crash",
        "freeze",
        "blackhole",
        "status:503",
        "garbage",
    ]


@pytest.mark.parametrize(
    ("state", "how", "message"),
    [
        ("of", None, r"^state: got 'of', allowed: online, draining, starting, offline$"),
        ("online", "crash", r"^how 'crash' goes with state offline only, got state 'online'$"),
        ("offline", "sulk", r"^how: got 'sulk', allowed: refuse, stop, crash, freeze, blackhole, status:NNN, garbage$"),
        ("offline", "status:99", r"^how: got 'status:99', allowed: status:200 to status:599$"),
        ("offline", "status:abc", r"^how: got 'status:abc'"),
        ("offline", "crash:1", r"^how: got 'crash:1'"),
        ("offline", "drop", r"packet-drop"),
    ],
)
def test_what_is_not_possible_is_named(state, how, message):
    with pytest.raises(StateError, match=message) as caught:
        parse_condition(state, how)
    assert caught.value.allowed


def test_every_state_has_a_row():
    assert set(TRANSITIONS) == {*State, Form.CRASH, Form.FREEZE}
