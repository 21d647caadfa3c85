"""The timeline of a check: what is in it, and that it stays small."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge.record.history import Attempt, FaultEvent, History, Probe, Request, StateChange, Step
from mocknode.judge.report import timeline
from mocknode.judge.report.drawing import draw
from mocknode.judge.report.text_timeline import states
from tests.judge.polling_histories import lost, seen, session

S = 1_000_000_000


def attempt(id_: str, start: float, until: float, **more: Any) -> Attempt:
    fields: dict[str, Any] = {
        "check": "UP-01",
        "method": "POST",
        "url": "http://127.0.0.1:1",
        "target": "/api",
        "http_version": "1.1",
        "connection": id_,
        "source": "127.0.0.2:1",
        "started_ns": round(start * S),
        "head_sent_ns": round(start * S),
        "body_sent_ns": round(start * S),
        "body_bytes": 0,
        "response_ns": round(until * S),
        "ended_ns": round(until * S),
        "told": "acknowledged",
        "end": "complete",
        "status": 200,
    }
    return Attempt(id=id_, **(fields | more))


def request(id_: str, node: str, start: float, until: float, **more: Any) -> Request:
    times = {"t_ns": round(start * S), "ended_ns": round(until * S), "end": "complete"}
    named = {"method": "POST", "target": "/api", "http_version": "1.1", "status": 200}
    return Request(node=node, boot=1, req=1, conn=1, peer="127.0.0.1:9", attempt=id_, **(named | times | more))


def probe(node: str, at: float, status: int) -> Probe:
    t_ns = round(at * S)
    named = {"method": "GET", "target": "/p", "http_version": "1.1", "host": None, "user_agent": None}
    return Probe(
        node=node, boot=1, req=1, conn=1, peer="127.0.0.1:9", t_ns=t_ns, answered_ns=t_ns, status=status, **named
    )


def test_check_without_a_trace_has_an_empty_timeline() -> None:
    found = timeline(History(attempts=[attempt("a", 1, 2)]), "HC-01")
    assert (found["span_s"], found["lanes"], found["bars"]) == (0.0, [], [])


def test_seconds_count_from_the_first_event_of_the_check() -> None:
    history = History(
        attempts=[attempt("a", 101, 103, body_bytes=8)],
        requests=[
            request("a", "node-1", 101.5, 102.5, first_body_ns=101_600_000_000, last_body_ns=102 * S, received=8)
        ],
        steps=[Step(t_ns=100 * S, check="UP-01", what="begin", detail={"out_ns": 102 * S, "gone": None, "size": 8})],
    )
    found = timeline(history, "UP-01")
    assert found["start_ns"] == 100 * S
    assert found["span_s"] == 3.0
    (bar,) = found["bars"]
    assert (bar["start_s"], bar["end_s"]) == (1.0, 3.0)
    (seen,) = bar["at"]
    assert (seen["start_s"], seen["first_body_s"], seen["last_body_s"], seen["end_s"]) == (1.5, 1.6, 2.0, 2.5)
    assert [(mark["t_s"], mark["what"], mark["text"]) for mark in found["marks"]] == [
        (0.0, "begin", "size 8, out_s 2.0")
    ]


def test_state_before_the_check_lasts_into_it_and_changes_split_it() -> None:
    history = History(
        attempts=[attempt("a", 10, 20)],
        states=[
            StateChange(node="node-2", t_ns=2 * S, state="draining"),
            StateChange(node="node-2", t_ns=12 * S, state="offline", how="crash"),
            StateChange(node="node-2", t_ns=15 * S, state="online"),
            StateChange(node="node-2", t_ns=25 * S, state="draining"),
        ],
    )
    (lane,) = timeline(history, "UP-01")["lanes"]
    spans = [(span["from_s"], span["to_s"], span["label"]) for span in lane["states"]]
    assert spans == [(0.0, 2.0, "draining"), (2.0, 5.0, "offline: crash"), (5.0, 10.0, "online")]


def test_faults_of_a_node_are_spans_and_those_of_one_attempt_are_not() -> None:
    def fault(id_: str, at: float, phase: str, **detail: Any) -> FaultEvent:
        return FaultEvent(node="node-1", t_ns=round(at * S), phase=phase, fault=id_, detail=detail)

    ping = {"kind": "status", "options": {"code": 302}, "on": "ping"}
    history = History(
        attempts=[attempt("a", 0, 10)],
        faults=[
            fault("f1", 2, "set", **ping),
            fault("f1", 3, "hit", **ping),
            fault("f1", 4, "removed", **ping),
            fault("f2", 5, "set", kind="think", options={"for": "9s"}, on="api", attempt="a"),
            fault("f3", 6, "set", kind="hang", options={}, on="all"),
        ],
    )
    (lane,) = timeline(history, "UP-01")["lanes"]
    assert [(f["from_s"], f["to_s"], f["label"]) for f in lane["faults"]] == [
        (2.0, 4.0, "status 302 on ping"),
        (6.0, 10.0, "hang"),
    ]


def test_probes_and_arrivals_of_the_span_are_ticks_with_their_status() -> None:
    history = History(
        attempts=[attempt("a", 0, 10)],
        requests=[request("a", "node-1", 1, 2), request("other", "node-1", 3, 4)],
        probes=[probe("node-1", 5, 418), probe("node-1", 50, 200)],
    )
    (lane,) = timeline(history, "UP-01")["lanes"]
    assert lane["arrivals"] == [(1.0, 200)]
    assert lane["probes"] == [(5.0, 418)]


def test_short_good_requests_are_ticks_and_no_bars() -> None:
    attempts = [attempt(f"a{n}", n, n + 0.001) for n in range(20)]
    history = History(attempts=attempts, requests=[request(a.id, "node-1", n, n) for n, a in enumerate(attempts)])
    found = timeline(history, "UP-01")
    assert found["bars"] == []
    assert len(found["lanes"][0]["arrivals"]) == 20
    assert found["left_out"] == {}


def test_what_went_wrong_and_uploads_are_kept_first() -> None:
    wrong = attempt("wrong", 77, 78, told="error", status=504)
    twice = attempt("twice", 78, 79)
    upload = attempt("upload", 55, 60, file_bytes=9)
    attempts = [*(attempt(f"a{n}", n, n + 5) for n in range(90)), wrong, upload, twice]
    requests = [request("twice", node, 78, 79, complete=True) for node in ("node-1", "node-2")]
    found = timeline(History(attempts=attempts, requests=requests), "UP-01", bars_max=5)
    assert {"wrong", "upload", "twice"} < {bar["attempt"] for bar in found["bars"]}
    assert len(found["bars"]) == 5
    assert found["left_out"] == {"bars": 88}


def test_request_to_a_node_out_of_rotation_is_never_sampled_away() -> None:
    attempts = [attempt(f"a{n}", n * 0.1, n * 0.1 + 0.01) for n in range(1000)]
    requests = [request(a.id, "node-1", n * 0.1, n * 0.1 + 0.01) for n, a in enumerate(attempts)]
    states = [
        StateChange(node="node-1", t_ns=round(50.05 * S), state="draining"),
        StateChange(node="node-1", t_ns=round(50.15 * S), state="online"),
    ]
    (lane,) = timeline(History(attempts=attempts, requests=requests, states=states), "UP-01", ticks_max=10)["lanes"]
    assert 50.1 in [t for t, _ in lane["arrivals"]]
    assert len(lane["arrivals"]) == 10


@given(
    attempts=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 10), st.sampled_from(["acknowledged", "error", "nothing"])),
        max_size=60,
    ),
    limit=st.integers(1, 12),
)
def test_limits_hold_and_what_is_left_out_is_counted(attempts: list[tuple[float, float, str]], limit: int) -> None:
    items = [attempt(f"a{n}", start, start + took, told=told) for n, (start, took, told) in enumerate(attempts)]
    history = History(
        attempts=items,
        requests=[request(a.id, "node-1", a.started_ns / S, a.ended_ns / S) for a in items],
        probes=[probe("node-1", start, 200) for start, _, _ in attempts],
        steps=[Step(t_ns=a.started_ns, check="UP-01", what="s") for a in items],
    )
    found = timeline(history, "UP-01", bars_max=limit, ticks_max=limit, marks_max=limit, intervals_max=limit)
    assert len(found["bars"]) <= limit
    assert len(found["marks"]) + found["left_out"].get("marks", 0) == len(items)
    for lane in found["lanes"]:
        assert len(lane["probes"]) + found["left_out"].get("probes", 0) == len(items)
        assert len(lane["arrivals"]) + found["left_out"].get("arrivals", 0) == len(items)
        assert max(len(lane["probes"]), len(lane["arrivals"]), len(lane["states"])) <= limit
    assert [bar["start_s"] for bar in found["bars"]] == sorted(bar["start_s"] for bar in found["bars"])


def test_traffic_of_the_check_is_ticks_and_its_errors_are_bars() -> None:
    traffic = [attempt(f"t{n}", n, n + 0.01, check="traffic", variant="UP-01") for n in range(10)]
    wrong = attempt("wrong", 4.5, 4.6, check="traffic", variant="UP-01", told="error", status=502)
    walk = attempt("walk", 5, 5.01, check="traffic", variant="walk")
    other = attempt("later", 50, 50.01, check="traffic", variant="HC-02")
    attempts = [*traffic, wrong, walk, other]
    history = History(
        attempts=attempts,
        requests=[request(a.id, "node-1", a.started_ns / S, a.ended_ns / S) for a in attempts],
        steps=[Step(t_ns=3 * S, check="UP-01", what="drain")],
    )
    found = timeline(history, "UP-01")
    assert found["start_ns"] == 0
    assert [bar["attempt"] for bar in found["bars"]] == ["wrong"]
    assert len(found["lanes"][0]["arrivals"]) == 12


def test_check_without_steps_of_its_own_takes_no_traffic_of_others() -> None:
    history = History(attempts=[attempt("t", 1, 2, check="traffic", variant="HC-02")])
    assert timeline(history, "UP-01")["span_s"] == 0.0


def test_polling_connections_are_counted_over_a_drain() -> None:
    stay = [session("TL-03", "live", id=f"s{n}", started_ns=0, identified_ns=1, ended_ns=40 * S) for n in range(3)]
    cut = [
        session("TL-03", "live", id=f"c{n}", started_ns=0, identified_ns=1, ended_ns=round(20.4 * S), by="peer")
        for n in range(2)
    ]
    new = [lost("TL-03", "new", id="n", started_ns=30 * S, ended_ns=31 * S)]
    drain = StateChange(node="node-1", t_ns=10 * S, state="draining")
    found = timeline(History(sessions=[*stay, *cut, *new], states=[drain]), "TL-03")
    (lane,) = found["lanes"]
    assert [(span["label"], span["from_s"], span["to_s"]) for span in lane["polling"]] == [
        ("5 polling", 0.0, 20.4),
        ("3 polling", 20.4, 40.0),
    ]
    assert lane["cuts"] == [(20.4, 2)]
    assert [tick for tick in lane["polls"] if tick[1] is None] == [(30.0, None)]
    rows = {name.strip(): (picture, words) for name, picture, words in states(found, 40)}
    assert rows["polling"] == ("≈" * 20 + "✂" + "┄" * 18, "5 live, ┄ fewer, ✂ 2 cut")
    assert "×" in rows["new polls"][0]
    drawing = draw(found)
    assert drawing is not None
    assert {"polling", "new polls", "2 cut"} <= {words.text for words in drawing.words}
    assert [line.path.count("M") for line in drawing.lines if line.kind == "cuts"] == [1]


def test_what_the_check_closes_itself_is_no_loss() -> None:
    # Closed one after another once the last step is over; a new one every second was closed at once.
    live = [
        session("TL-03", "live", id=f"l{n}", started_ns=0, identified_ns=n, ended_ns=41 * S + n * S) for n in range(5)
    ]
    new = [
        session("TL-03", "new", id=f"n{n}", started_ns=n * S, identified_ns=n * S + 1, ended_ns=n * S + 2)
        for n in range(40)
    ]
    drain = StateChange(node="node-1", t_ns=10 * S, state="draining")
    watched, restored = (
        Step(t_ns=t_s * S, check="TL-03", what=what) for t_s, what in ((40, "watched"), (60, "restored"))
    )
    steps = [watched, restored]
    found = timeline(History(sessions=[*live, *new], states=[drain], steps=steps), "TL-03")
    (lane,) = found["lanes"]
    assert [(span["label"], span["from_s"], span["to_s"]) for span in lane["polling"]] == [("5 polling", 0.0, 40.0)]
    assert lane["cuts"] == []
    rows = {name.strip(): words for name, _, words in states(found, 40)}
    assert rows["polling"] == "5 live, none cut"
    drawing = draw(found)
    assert drawing is not None
    assert "watched" in {words.text for words in drawing.words}


def test_a_half_closed_connection_whose_rest_came_was_not_cut() -> None:
    sessions = [
        session("TL-05", "half-close", id=name, ended_ns=5 * S, by="peer", marks={"half-closed": 2 * S, **marks})
        for name, marks in (("whole", {"rest": 4 * S}), ("cut", {}))
    ]
    online = StateChange(node="node-1", t_ns=0, state="online")
    (lane,) = timeline(History(sessions=sessions, states=[online]), "TL-05")["lanes"]
    assert lane["cuts"] == [(4.0, 1)]


def test_a_connection_is_drawn_at_the_node_that_it_reached() -> None:
    stray = session("TL-03", "live", "node-1", id="stray", started_ns=0, identified_ns=1, ended_ns=40 * S)
    refused = lost("TL-03", "new", "node-1", id="refused", started_ns=30 * S, ended_ns=31 * S)
    both = [StateChange(node=node, t_ns=0, state="online") for node in ("node-1", "node-2")]
    history = History(sessions=[stray, refused], tentacles=[seen(stray, "node-2")], states=both)
    dialled, reached = timeline(history, "TL-03")["lanes"]
    assert (dialled["polling"], dialled["polls"]) == ([], [(30.0, None)])
    assert [span["label"] for span in reached["polling"]] == ["1 polling"]
    assert reached["polls"] == [(0.0, 200)]


def test_a_fleet_that_grows_to_the_end_says_how_many_stood() -> None:
    # Closed in reverse, right after the last of them stood.
    fleet = [
        session(
            "TL-06", "fleet", id=f"f{n}", started_ns=n * S // 10, identified_ns=n * S // 10 + 1, ended_ns=31 * S - n
        )
        for n in range(300)
    ]
    stand = Step(t_ns=30 * S, check="TL-06", what="stand")
    online = StateChange(node="node-1", t_ns=0, state="online")
    found = timeline(History(sessions=fleet, states=[online], steps=[stand]), "TL-06")
    assert {name: words for name, _, words in states(found, 40)}[" polling"] == "300 live, ┄ fewer, none cut"
    drawing = draw(found)
    assert drawing is not None
    assert "up to 300 polling" in {words.text for words in drawing.words}


def test_every_connection_that_was_cut_is_counted() -> None:
    fleet = [
        session("TL-06", "fleet", id=f"f{n}", started_ns=0, identified_ns=1, ended_ns=20 * S + n, by="peer")
        for n in range(1200)
    ]
    online = StateChange(node="node-1", t_ns=0, state="online")
    found = timeline(History(sessions=fleet, states=[online]), "TL-06")
    words = {name: words for name, _, words in states(found, 40)}[" polling"]
    assert words.startswith("1200 live")
    assert words.endswith("✂ 1200 cut")
