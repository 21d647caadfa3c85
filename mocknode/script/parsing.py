"""Makes a `Scenario` from the text of a file, and finds all its mistakes at once.

Loops are unrolled and `$names` replaced while the schedule is read, so that each step is checked with the values that it will have. A
mistake inside a loop is reported once, however many rounds the loop has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.declared import Field, StreamShape
from mocknode.script.fields import FieldReader
from mocknode.script.model import VERSION, Expectation, Parameter, Scenario, SteadyState, Step, Stream, When
from mocknode.script.reading import Listing, Mistake, Node, Position, Scalar, ScenarioError, Table, read
from mocknode.script.values import COUNT, DURATION, PARAMETER_KINDS, TEXT, WORD
from mocknode.script.vocabulary import CONDITIONS, STREAMS, VERBS
from mocknode.text.suggestions import did_you_mean

WORDS: Final = (*VERBS, *layout.BLOCKS)
"""Everything that a step can begin with."""


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
    except _TooManyStepsError:
        scenario = None
    if parser.fields.mistakes or scenario is None:
        raise ScenarioError(source, parser.fields.mistakes)
    return scenario


class _TooManyStepsError(Exception):
    """The loops of a schedule unroll to more steps than a run can have; the mistake is noted already."""


class _Parser:
    """Reads the parts of a file in the order in which they need each other: parameters, cluster, workload, schedule."""

    def __init__(self, settings: Mapping[str, str], nodes: tuple[str, ...]) -> None:
        self.fields = FieldReader(CONDITIONS)
        self.fields.nodes = nodes
        self._settings = settings
        self._steps = 0
        self._read = 0

    def scenario(self, root: Node) -> Scenario | None:
        top = self._top(root)
        if top is None:
            return None
        parameters = self._parameters(top.get("parameters"))
        cluster = self._plain(top.get("cluster"), layout.CLUSTER, "cluster")
        nodes = self._nodes(cluster.get("nodes"), top)
        workload = self._workload(top.get("workload"))
        steady = self._steady_state(top.get("steady-state"))
        schedule = tuple(self._schedule(top.get("schedule"), ""))
        expectations = tuple(self._expectations(top.get("expect")))
        named = {
            key: self.fields.scalar(top[key], kind) for key, kind in (("name", WORD), ("claim", TEXT)) if key in top
        }
        return Scenario(
            name=named.get("name") or "",
            claim=named.get("claim") or "",
            needs=tuple(self._list(top.get("needs"), lambda node: self.fields.scalar(node, layout.NEED))),
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
            self._wrong(root.at, f"got {root}, allowed: a mapping that begins with `{layout.VERSION_KEY}: {VERSION}`")
            return None
        top = {}
        for key, value in root.pairs:
            if key.text in layout.TOP:
                top[key.text] = value
            else:
                self._unknown(key, "key", list(layout.TOP))
        for needed in layout.REQUIRED:
            if needed not in top:
                self._wrong(root.at, f"the key {needed!r} is missing: {layout.TOP[needed].rstrip('.')}")
        version = top.get(layout.VERSION_KEY)
        if version is not None and not (
            isinstance(version, Scalar) and version.text == str(VERSION) and not version.quoted
        ):
            self._wrong(version.at, f"{layout.VERSION_KEY}: got {version}, allowed: {VERSION}")
        return top

    def _parameters(self, node: Node | None) -> tuple[Parameter, ...]:
        found = []
        for key, value in self._pairs(node, "parameters"):
            name = self.fields.scalar(key, layout.PARAMETER_NAME)
            args = self.fields.plain(value, layout.PARAMETER, f"parameter {key.text}", also=(layout.DEFAULT,))
            default = next((node for word, node in self._pairs_if(value) if word.text == layout.DEFAULT), None)
            if default is None and isinstance(value, Table):
                self._wrong(
                    key.at, f"parameter {key.text}: the key {layout.DEFAULT!r} is missing: the value without --set"
                )
            # What uses a parameter with a mistake gets no mistake of its own.
            self.fields.variables[key.text] = None
            if name is not None and args.get("type") is not None and isinstance(default, Scalar):
                found.append(self._parameter(name, args["type"], default, args.get("about") or ""))
            elif default is not None and not isinstance(default, Scalar):
                self._wrong(default.at, f"parameter {key.text}: got {default}, allowed: a single value")
        known = [parameter.name for parameter in found]
        for setting in self._settings:
            if setting not in known:
                hint = did_you_mean(setting, known)
                self._wrong(
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
            self._wrong(
                self._value_of(top["cluster"], "nodes"), f"nodes: got {count}, allowed: 1 to {layout.NODES_MAX}"
            )
            return None
        there = self.fields.nodes
        if there and len(there) != count:
            allowed = f"{len(there)}, as many as the cluster has: {', '.join(there)}"
            self._wrong(self._value_of(top["cluster"], "nodes"), f"nodes: got {count}, allowed: {allowed}")
        self.fields.nodes = there or tuple(f"node-{number}" for number in range(1, count + 1))
        return count

    def _workload(self, node: Node | None) -> tuple[Stream, ...]:
        found = []
        for key, value in self._pairs(node, "workload"):
            name = self.fields.scalar(key, WORD)
            shaped = self._word(value, STREAMS, "stream")
            self.fields.streams[key.text] = shaped is not None and shaped[0].uploads
            if shaped is not None and name is not None:
                found.append(Stream(name=name, kind=shaped[0].word, args=shaped[1]))
        if isinstance(node, Table) and not node.pairs:
            self._wrong(node.at, "workload: got no stream, allowed: at least one, such as `builds: {push: {users: 4}}`")
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

    def _schedule(self, node: Node | None, prefix: str) -> list[Step]:
        found: list[Step] = []
        for number, item in enumerate(self._items(node, "steps"), 1):
            found += self._step(item, f"{prefix}{number}")
        return found

    def _step(self, node: Node, place: str) -> list[Step]:
        self._read += 1
        self._limit(self._read, layout.READ_MAX, node.at)
        entry = self.fields.word(node, WORDS, "step")
        if entry is None:
            return []
        at, word = entry.word.at, entry.word.text
        if word in (layout.FOR_EACH, layout.REPEAT):
            return self._loop(word, entry.value, entry.beside, at, place)
        if word == layout.PARALLEL:
            branches = tuple(
                tuple(
                    self._schedule(
                        item if isinstance(item, Listing) else Listing((item,), item.at), f"{place}.{number}."
                    )
                )
                for number, item in enumerate(self._items(entry.value, "lists of steps"), 1)
            )
            self._refuse_beside(entry.beside, word)
            return [self._made(Step(verb=word, branches=branches), at, place)]
        if word == layout.CHAOS:
            self._refuse_beside(entry.beside, word)
            return [self._made(Step(verb=word, args=self._chaos(entry.value, at)), at, place)]
        return [self._made(Step(verb=word, args=self.fields.read(VERBS[word], entry)), at, place)]

    def _made(self, step: Step, at: Position, place: str) -> Step:
        self._steps += 1
        self._limit(self._steps, layout.STEPS_MAX, at)
        return replace(step, place=place, line=at.line, column=at.column)

    def _limit(self, count: int, most: int, at: Position) -> None:
        if count > most:
            allowed = f"allowed: {layout.STEPS_MAX}"
            self._wrong(at, f"got more than {layout.STEPS_MAX} steps, counted with unrolled loops; {allowed}")
            raise _TooManyStepsError

    def _loop(
        self, word: str, value: Node | None, beside: Sequence[tuple[Scalar, Node]], at: Position, place: str
    ) -> list[Step]:
        body = next((node for key, node in beside if key.text == layout.DO), None)
        self._refuse_beside([pair for pair in beside if pair[0].text != layout.DO], word, layout.DO)
        name, rounds = self._each(value, at) if word == layout.FOR_EACH else ("", self._times(value, at))
        if body is None:
            self._wrong(at, f"{word}: the key {layout.DO!r} is missing, with the steps of a round")
            return []
        if isinstance(body, Listing) and not body.items:
            self._wrong(body.at, f"{word}: got no step, allowed: at least one under {layout.DO!r}")
            return []
        found: list[Step] = []
        outer = self.fields.variables.get(name)
        hidden = name in self.fields.variables
        for number, item in enumerate(rounds, 1):
            if name:
                self.fields.variables[name] = item
            shown = item.text if name else f"round {number}"
            steps = self._schedule(body, f"{place}.{number}.")
            found += [replace(step, round=" · ".join(filter(None, (shown, step.round)))) for step in steps]
        if name:
            self.fields.variables.pop(name, None)
            if hidden:
                self.fields.variables[name] = outer
        return found

    def _each(self, value: Node | None, at: Position) -> tuple[str, Iterable[Scalar]]:
        example = "{node: [node-1, node-2]}"
        if not isinstance(value, Table) or len(value.pairs) != 1:
            self._wrong(
                value.at if value else at,
                f"{layout.FOR_EACH}: got {value or 'nothing'}, allowed: one name and its values, such as {example}",
            )
            return "", []
        key, listed = value.pairs[0]
        name = self.fields.scalar(key, WORD)
        if name is not None and name in self.fields.variables:
            self._wrong(
                key.at,
                f"{layout.FOR_EACH}: got {name!r}, which is a parameter or the variable of an outer loop already",
            )
        if isinstance(listed, Scalar) and listed.text == layout.ALL:
            if not self.fields.nodes:
                self._wrong(
                    listed.at,
                    f"{layout.FOR_EACH}: got {layout.ALL!r}, which needs `cluster: {{nodes: N}}`; allowed: {example}",
                )
            return name or "", [Scalar(node, quoted=False, at=listed.at) for node in self.fields.nodes]
        items = [self.fields.resolved(item) for item in self._items(listed, f"the values of {key.text}")]
        if isinstance(listed, Listing) and not items:
            self._wrong(
                listed.at, f"{layout.FOR_EACH}: got no value for {key.text}, allowed: at least one, such as {example}"
            )
        for item in items:
            if item is not None and not isinstance(item, Scalar):
                self._wrong(item.at, f"{layout.FOR_EACH}: got {item}, allowed: single values")
        return name or "", [item for item in items if isinstance(item, Scalar)]

    def _times(self, value: Node | None, at: Position) -> Iterable[Scalar]:
        count = self.fields.scalar(value or Scalar("", quoted=False, at=at), COUNT, f"{layout.REPEAT}: ")
        if count is None:
            return []
        if not 1 <= count <= layout.REPEAT_MAX:
            self._wrong(value.at if value else at, f"{layout.REPEAT}: got {count}, allowed: 1 to {layout.REPEAT_MAX}")
            return []
        return (Scalar(str(number), quoted=False, at=at) for number in range(1, count + 1))

    def _chaos(self, value: Node | None, at: Position) -> dict[str, Any]:
        if not isinstance(value, Table):
            allowed = ", ".join([*(field.name for field in layout.CHAOS_FIELDS), layout.PICK])
            self._wrong(
                value.at if value else at,
                f"{layout.CHAOS}: got {value or 'nothing'}, allowed: a mapping with {allowed}",
            )
            return {}
        own = Table(tuple(pair for pair in value.pairs if pair[0].text != layout.PICK), value.at)
        args = self.fields.plain(own, layout.CHAOS_FIELDS, layout.CHAOS, also=(layout.PICK,))
        pick = next((node for key, node in value.pairs if key.text == layout.PICK), None)
        if pick is None:
            self._wrong(at, f"{layout.CHAOS}: the key {layout.PICK!r} is missing: {layout.PICK_ABOUT}")
        args[layout.PICK] = tuple(self._picks(pick))
        return args

    def _picks(self, node: Node | None) -> list[tuple[str, int]]:
        found = []
        for key, value in self._pairs(node, layout.PICK):
            if key.text not in layout.DISTURBANCES:
                self._unknown(key, "disturbance", list(layout.DISTURBANCES))
                continue
            weight = self.fields.scalar(value, COUNT, f"{key.text}: ")
            if weight is not None and not 1 <= weight <= layout.WEIGHT_MAX:
                self._wrong(value.at, f"{key.text}: got {weight}, allowed: a weight from 1 to {layout.WEIGHT_MAX}")
            elif weight is not None:
                found.append((key.text, weight))
        if isinstance(node, Table) and not node.pairs:
            self._wrong(node.at, f"{layout.PICK}: got nothing, allowed: {', '.join(layout.DISTURBANCES)}")
        return found

    def _expectations(self, node: Node | None) -> list[Expectation]:
        found: list[Expectation] = []
        for key, listed in self._pairs(node, "expect"):
            if key.text not in layout.WHENS:
                self._unknown(key, "time of judging", list(layout.WHENS))
                continue
            when: When = key.text  # type: ignore[assignment]
            for item in self._items(listed, f"conditions under {key.text}"):
                expectation = self._expectation(when, item)
                found += [] if expectation is None else [expectation]
        if isinstance(node, Table) and not found and not self.fields.mistakes:
            self._wrong(
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
                self._wrong(
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
            self._wrong(item.at, f"{when}: got {condition.word!r}, allowed here: {', '.join(allowed)}")
            return None
        return Expectation(when=when, condition=condition, within=within, line=item.at.line)

    def _plain(self, node: Node | None, fields: Sequence[Field], what: str) -> dict[str, Any]:
        return {} if node is None else self.fields.plain(node, fields, what)

    def _pairs(self, node: Node | None, what: str) -> Sequence[tuple[Scalar, Node]]:
        if node is None:
            return ()
        if not isinstance(node, Table):
            self._wrong(node.at, f"{what}: got {node}, allowed: a mapping")
            return ()
        return node.pairs

    def _pairs_if(self, node: Node) -> Sequence[tuple[Scalar, Node]]:
        return node.pairs if isinstance(node, Table) else ()

    def _items(self, node: Node | None, what: str) -> Sequence[Node]:
        if node is None:
            return ()
        if not isinstance(node, Listing):
            self._wrong(node.at, f"got {node}, allowed: a list of {what}")
            return ()
        return node.items

    def _list(self, node: Node | None, read_one: Any) -> list[Any]:
        return [value for item in self._items(node, "names") if (value := read_one(item)) is not None]

    def _refuse_beside(self, beside: Sequence[tuple[Scalar, Node]], word: str, *allowed: str) -> None:
        for key, _ in beside:
            self._wrong(key.at, f"{word}: got the key {key.text!r} beside it, allowed: {', '.join(allowed) or 'none'}")

    def _value_of(self, node: Node, name: str) -> Position:
        return next((value.at for key, value in self._pairs_if(node) if key.text == name), node.at)

    def _unknown(self, key: Scalar, what: str, allowed: Sequence[str]) -> None:
        self.fields.unknown(key, what, allowed)

    def _wrong(self, at: Position, text: str) -> None:
        self.fields.mistakes.append(Mistake(at, text))
