"""Makes a `Scenario` from the text of a file, and finds all its mistakes at once.

`schedule_reading` reads the schedule, and `fields` the values of every word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mocknode.script import layout
from mocknode.script.declared import Field, StreamShape
from mocknode.script.fields import FieldReader
from mocknode.script.model import VERSION, Expectation, Parameter, Scenario, SteadyState, Stream, When
from mocknode.script.reading import Node, Position, Scalar, ScenarioError, Table, read
from mocknode.script.schedule_reading import ScheduleReader, TooManyStepsError
from mocknode.script.values import DURATION, PARAMETER_KINDS, TEXT, WORD
from mocknode.script.vocabulary import CONDITIONS, STREAMS
from mocknode.text.suggestions import did_you_mean


def parse(
    text: str,
    source: str = "scenario",
    settings: Mapping[str, str] | None = None,
    nodes: Sequence[str] | None = None,
) -> Scenario:
    """Return the scenario that a text describes.

    Args:
        source: Name of the file, for messages.
        settings: Values of parameters by name, which replace the defaults.
        nodes: Names of the nodes of a cluster that runs already; without them the file's `cluster` decides.

    Raises:
        ScenarioError: the text has mistakes; all of them are in it.
    """
    root = read(text, source)
    parser = _Parser(settings or {}, tuple(nodes or ()))
    try:
        scenario = parser.scenario(root)
    except TooManyStepsError:
        scenario = None
    if parser.fields.mistakes or scenario is None:
        raise ScenarioError(source, parser.fields.mistakes)
    return scenario


class _Parser:
    """Reads the parts of a file in the order in which they need each other: parameters, cluster, workload, schedule."""

    def __init__(self, settings: Mapping[str, str], nodes: tuple[str, ...]) -> None:
        self.fields = FieldReader(CONDITIONS)
        self.fields.nodes = nodes
        self._settings = settings

    def scenario(self, root: Node) -> Scenario | None:
        top = self._top(root)
        if top is None:
            return None
        parameters = self._parameters(top.get("parameters"))
        cluster = self._plain(top.get("cluster"), layout.CLUSTER, "cluster")
        nodes = self._nodes(cluster.get("nodes"), top)
        workload = self._workload(top.get("workload"))
        steady = self._steady_state(top.get("steady-state"))
        schedule = tuple(ScheduleReader(self.fields).steps(top.get("schedule")))
        expectations = tuple(self._expectations(top.get("expect")))
        needs = [self.fields.scalar(item, layout.NEED) for item in self.fields.items(top.get("needs"), "names")]
        named = {
            key: self.fields.scalar(top[key], kind) for key, kind in (("name", WORD), ("claim", TEXT)) if key in top
        }
        return Scenario(
            name=named.get("name") or "",
            claim=named.get("claim") or "",
            needs=tuple(need for need in needs if need is not None),
            parameters=parameters,
            nodes=nodes,
            tasks_per_node=cluster.get("tasks-per-node"),
            workload=workload,
            steady_state=steady,
            schedule=schedule,
            expectations=expectations,
        )

    def _top(self, root: Node) -> dict[str, Node] | None:
        if not isinstance(root, Table):
            self.fields.wrong(
                root.at, f"got {root}, allowed: a mapping that begins with `{layout.VERSION_KEY}: {VERSION}`"
            )
            return None
        top = {}
        for key, value in root.pairs:
            if key.text in layout.TOP:
                top[key.text] = value
            else:
                self.fields.unknown(key, "key", list(layout.TOP))
        for needed in layout.REQUIRED:
            if needed not in top:
                self.fields.wrong(root.at, f"the key {needed!r} is missing: {layout.TOP[needed].rstrip('.')}")
        version = top.get(layout.VERSION_KEY)
        if version is not None and not (
            isinstance(version, Scalar) and version.text == str(VERSION) and not version.quoted
        ):
            self.fields.wrong(version.at, f"{layout.VERSION_KEY}: got {version}, allowed: {VERSION}")
        return top

    def _parameters(self, node: Node | None) -> tuple[Parameter, ...]:
        found = []
        for key, value in self.fields.pairs(node, "parameters"):
            name = self.fields.scalar(key, layout.PARAMETER_NAME)
            args = self.fields.plain(value, layout.PARAMETER, f"parameter {key.text}", also=(layout.DEFAULT,))
            default = next((node for word, node in self.fields.pairs_if(value) if word.text == layout.DEFAULT), None)
            if default is None and isinstance(value, Table):
                self.fields.wrong(
                    key.at, f"parameter {key.text}: the key {layout.DEFAULT!r} is missing: the value without --set"
                )
            # What uses a parameter with a mistake gets no mistake of its own.
            self.fields.variables[key.text] = None
            if name is not None and args.get("type") is not None and isinstance(default, Scalar):
                found.append(self._parameter(name, args["type"], default, args.get("about") or ""))
            elif default is not None and not isinstance(default, Scalar):
                self.fields.wrong(default.at, f"parameter {key.text}: got {default}, allowed: a single value")
        known = [parameter.name for parameter in found]
        for setting in self._settings:
            if setting not in known:
                hint = did_you_mean(setting, known)
                self.fields.wrong(
                    Position(), f"--set {setting}: no such parameter, allowed: {', '.join(known) or 'none'}{hint}"
                )
        return tuple(found)

    def _parameter(self, name: str, kind: str, default: Scalar, about: str) -> Parameter:
        right = self.fields.scalar(default, PARAMETER_KINDS[kind], f"parameter {name}: ") is not None
        value = default
        if name in self._settings:
            value = Scalar(self._settings[name], quoted=False, at=Position())
            right = self.fields.scalar(value, PARAMETER_KINDS[kind], f"--set {name}: ") is not None and right
        self.fields.variables[name] = value if right else None
        return Parameter(name=name, kind=kind, default=default.text, about=about)

    def _nodes(self, count: int | None, top: Mapping[str, Node]) -> int | None:
        if count is None:
            return None
        if not 1 <= count <= layout.NODES_MAX:
            self.fields.wrong(
                self.fields.place_of(top["cluster"], "nodes"), f"nodes: got {count}, allowed: 1 to {layout.NODES_MAX}"
            )
            return None
        there = self.fields.nodes
        if there and len(there) != count:
            allowed = f"{len(there)}, as many as the cluster has: {', '.join(there)}"
            self.fields.wrong(self.fields.place_of(top["cluster"], "nodes"), f"nodes: got {count}, allowed: {allowed}")
        self.fields.nodes = there or tuple(f"node-{number}" for number in range(1, count + 1))
        return count

    def _workload(self, node: Node | None) -> tuple[Stream, ...]:
        found = []
        for key, value in self.fields.pairs(node, "workload"):
            name = self.fields.scalar(key, WORD)
            shaped = self._word(value, STREAMS, "stream")
            self.fields.streams[key.text] = shaped is not None and shaped[0].uploads
            if shaped is not None and name is not None:
                found.append(Stream(name=name, kind=shaped[0].word, args=shaped[1]))
        if isinstance(node, Table) and not node.pairs:
            self.fields.wrong(
                node.at, "workload: got no stream, allowed: at least one, such as `builds: {push: {users: 4}}`"
            )
        return tuple(found)

    def _word(
        self, node: Node, vocabulary: Mapping[str, StreamShape], what: str
    ) -> tuple[StreamShape, dict[str, Any]] | None:
        entry = self.fields.word(node, list(vocabulary), what)
        if entry is None:
            return None
        shape = vocabulary[entry.word.text]
        return shape, self.fields.read(shape, entry)

    def _steady_state(self, node: Node | None) -> SteadyState:
        if node is None:
            return SteadyState()
        args = self._plain(node, layout.STEADY_STATE, "steady-state")
        conditions = tuple(condition for condition in args.get("all") or () if condition is not None)
        return SteadyState(within=args.get("within") or 0.0, conditions=conditions)

    def _expectations(self, node: Node | None) -> list[Expectation]:
        found: list[Expectation] = []
        for key, listed in self.fields.pairs(node, "expect"):
            if key.text not in layout.WHENS:
                self.fields.unknown(key, "time of judging", list(layout.WHENS))
                continue
            when: When = key.text  # type: ignore[assignment]
            for item in self.fields.items(listed, f"conditions under {key.text}"):
                expectation = self._expectation(when, item)
                found += [] if expectation is None else [expectation]
        if isinstance(node, Table) and not found and not self.fields.mistakes:
            self.fields.wrong(
                node.at,
                "expect: got no condition, allowed: at least one, such as `always: [{ledger: builds, lost: 0}]`",
            )
        return found

    def _expectation(self, when: When, item: Node) -> Expectation | None:
        node = item
        bounds: tuple[tuple[Scalar, Node], ...] = ()
        if isinstance(item, Table) and when == "eventually":
            bounds = tuple(pair for pair in item.pairs if pair[0].text == "within")
            node = Table(tuple(pair for pair in item.pairs if pair[0].text != "within"), item.at)
        condition = self.fields.condition(node)
        within = 0.0
        if when == "eventually":
            if not bounds:
                self.fields.wrong(
                    item.at, "eventually: the key 'within' is missing: the longest wait after the schedule, such as 30s"
                )
            for _, value in bounds:
                within = self.fields.scalar(value, DURATION, "within: ") or 0.0
        if condition is None:
            return None
        shape = CONDITIONS[condition.word]
        if (shape.look if when == "eventually" else shape.judge) is None:
            allowed = [
                word for word, other in CONDITIONS.items() if (other.look if when == "eventually" else other.judge)
            ]
            self.fields.wrong(item.at, f"{when}: got {condition.word!r}, allowed here: {', '.join(allowed)}")
            return None
        return Expectation(when=when, condition=condition, within=within, line=item.at.line)

    def _plain(self, node: Node | None, fields: Sequence[Field], what: str) -> dict[str, Any]:
        return {} if node is None else self.fields.plain(node, fields, what)
