import contextlib
import dataclasses
import random
from pathlib import Path

import pytest

from mocknode.mock.node import faults
from mocknode.mock.node.faults import FAULTS, FaultError, describe, options, parse_fault
from mocknode.mock.node.faults.effects import ANSWER, BODY_END, HEAD, Break, CutAnswer, Delay, Place, Point, Raw, Reply

SAMPLES = ("1s", "64KiB", "503")
"""Values for options that have to be given; each form takes one of them."""


def required(kind):
    """Options without which the fault cannot be set."""
    items = options.names(FAULTS[kind]).items()
    return {name: sample(item.metadata["form"]) for name, item in items if item.default is dataclasses.MISSING}


def sample(form):
    for text in SAMPLES:
        with contextlib.suppress(ValueError):
            form.parse(text)
            return text
    raise AssertionError(f"no sample for {form.allowed}")


@pytest.mark.parametrize("kind", FAULTS)
def test_every_fault_gives_effects_and_explains_itself(kind):
    spec = parse_fault({"id": "f1", "kind": kind, "options": required(kind)})
    assert spec.fault.effects(random.Random(1))
    first, *rest = describe(kind).splitlines()
    assert first.startswith(f"{kind}: ")
    assert len(rest) == len(options.names(FAULTS[kind]))


def test_every_file_of_a_fault_is_in_the_registry():
    folder = Path(faults.__file__).parent
    parts = {"__init__", "effects", "fault", "kinds", "options", "spec", "selection"}
    files = {path.stem for path in folder.glob("*.py")} - parts
    assert {name.replace("_", "-") for name in files} == set(FAULTS)


@pytest.mark.parametrize(
    ("kind", "options", "effect"),
    [
        ("latency", {"delay": "250ms"}, Delay(at=ANSWER, seconds=0.25)),
        ("think", {"for": "45s"}, Delay(at=BODY_END, seconds=45)),
        ("reset", {}, Break(at=HEAD, how="reset")),
        ("reset", {"at": "64KiB"}, Break(at=Point(Place.BYTES, 65536), how="reset")),
        ("close", {"at": "50%"}, Break(at=Point(Place.SHARE, 0.5), how="fin")),
        ("close", {"at": "answer"}, Break(at=ANSWER, how="fin")),
        ("truncate", {"at": "10", "how": "reset"}, CutAnswer(at=ANSWER, body_bytes=10, how="reset")),
        ("early-response", {"code": "413", "then": "close"}, Reply(at=HEAD, status=413, then="fin")),
        (
            "status",
            {"code": 302, "location": "/login"},
            Reply(at=BODY_END, status=302, headers=(("location", "/login"),)),
        ),
    ],
)
def test_options_are_read_in_human_units(kind, options, effect):
    spec = parse_fault({"id": "f", "kind": kind, "options": options})
    assert spec.fault.effects(random.Random(1)) == (effect,)


def test_jitter_is_drawn_from_the_seed():
    fault = parse_fault({"kind": "latency", "options": {"delay": "1s", "jitter": "500ms"}}).fault
    again = [fault.effects(random.Random(7)) for _ in range(2)]
    assert again[0] == again[1] != fault.effects(random.Random(8))


def test_garbage_cannot_be_taken_for_http():
    fault = parse_fault({"kind": "garbage", "options": {"length": 100}}).fault
    (effect,) = fault.effects(random.Random(1))
    assert isinstance(effect, Raw)
    assert len(effect.data) == 100
    assert effect.data[0] == 0xFF


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "sulk"}, r"^fault kind: got 'sulk', allowed: latency, status, hang"),
        ({"kind": None}, r"^fault kind: got None"),
        ({"kind": "latency"}, r"^fault latency needs the option 'delay'.*a duration such as"),
        ({"kind": "latency", "options": {"delay": "1 parsec"}}, r"option delay is '1 parsec', allowed: a duration"),
        (
            {"kind": "latency", "options": {"delay": "1s", "jitter": "2s"}},
            r"jitter must be at most the delay \(1 s\), got 2 s",
        ),
        ({"kind": "status", "options": {"code": 99}}, r"option code is 99, allowed: a whole number from 200 to 599"),
        ({"kind": "status", "options": {"code": True}}, r"option code is True"),
        (
            {"kind": "status", "options": {"colour": 1, "code": 500}},
            r"unknown option 'colour'; its options are code, body",
        ),
        (
            {"kind": "status", "options": {"code": 302, "location": "http://日本/"}},
            r"option location is .*, allowed: printable",
        ),
        (
            {"kind": "status", "options": {"code": 302, "location": "/a\r\nb: c"}},
            r"option location is .*, allowed: printable",
        ),
        ({"kind": "hang", "options": {"at": "64KiB"}}, r"option at is '64KiB', allowed: head, body-end"),
        ({"kind": "drip", "options": {"rate": "0B"}}, r"option rate is '0B', allowed: a size per second above zero"),
        (
            {"kind": "status", "on": "tentacle"},
            r"on 'tentacle': got kind 'status'.*allowed: latency, hang, reset, close",
        ),
        ({"kind": "reset", "on": "tentacle", "options": {"at": "answer"}}, r"on 'tentacle': got option at='answer'"),
        ({"kind": "reset", "on": "tentacle", "attempt": "a1"}, r"on 'tentacle': got attempt 'a1'"),
        ({"kind": "reset", "on": "web"}, r"^fault on: got 'web', allowed: ping, api, all"),
        ({"kind": "reset", "first": 0}, r"^fault first: got 0, allowed: a whole number of at least 1"),
        ({"kind": "reset", "every": "2"}, r"^fault every: got '2'"),
        ({"kind": "reset", "after": "later"}, r"^fault after: trigger: got 'later'"),
        ({"kind": "reset", "ttl": "30"}, r"^fault ttl: '30' is not a duration"),
        ({"kind": "reset", "colour": 1}, r"^fault: unknown key 'colour', allowed: id, kind"),
        ({"kind": "reset", "options": 3}, r"options are 3, allowed: an object"),
    ],
)
def test_what_cannot_be_set_is_named_with_what_can(document, message):
    with pytest.raises(FaultError, match=message):
        parse_fault(document)


def test_a_fault_object_survives_the_round_trip():
    document = {
        "id": "f1",
        "kind": "reset",
        "options": {"at": "64KiB"},
        "on": "api",
        "first": 2,
        "every": 3,
        "after": "30% of an upload",
        "ttl": "30s",
        "attempt": "a-1",
    }
    assert parse_fault(document).document() == document
