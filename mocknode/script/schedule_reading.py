"""Reads schedules: steps, and the loops, branches and chaos that hold steps.

Loops are unrolled and `$names` replaced while a schedule is read, so that each step is checked with the values that it will have. A
mistake inside a loop is reported once, however many rounds the loop has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from mocknode.script import layout
from mocknode.script.fields import FieldReader
from mocknode.script.model import Step
from mocknode.script.reading import Listing, Node, Position, Scalar, Table
from mocknode.script.values import COUNT, WORD
from mocknode.script.vocabulary import VERBS

WORDS: Final = (*VERBS, *layout.BLOCKS)
"""Everything that a step can begin with."""


class TooManyStepsError(Exception):
    """The loops of a schedule unroll to more steps than a run can have; the mistake is noted already."""


class ScheduleReader:
    """Reads the schedule of one file.

    Args:
        fields: Knows the parameters, nodes and streams of the file, and collects mistakes.
    """

    def __init__(self, fields: FieldReader) -> None:
        self._fields = fields
        self._steps = 0
        self._read = 0

    def steps(self, node: Node | None, prefix: str = "") -> list[Step]:
        """Return the steps of a list, with the loops in it unrolled.

        Args:
            prefix: Put before the number of each step.

        Raises:
            TooManyStepsError: there are more than a run can have; the mistake is noted.
        """
        found: list[Step] = []
        for number, item in enumerate(self._fields.items(node, "steps"), 1):
            found += self._step(item, f"{prefix}{number}")
        return found

    def _step(self, node: Node, place: str) -> list[Step]:
        self._read += 1
        self._limit(self._read, layout.READ_MAX, node.at)
        entry = self._fields.word(node, WORDS, "step")
        if entry is None:
            return []
        at, word = entry.word.at, entry.word.text
        if word in (layout.FOR_EACH, layout.REPEAT):
            return self._loop(word, entry.value, entry.beside, at, place)
        if word == layout.PARALLEL:
            branches = tuple(
                tuple(
                    self.steps(item if isinstance(item, Listing) else Listing((item,), item.at), f"{place}.{number}.")
                )
                for number, item in enumerate(self._fields.items(entry.value, "lists of steps"), 1)
            )
            self._refuse_beside(entry.beside, word)
            return [self._made(Step(verb=word, branches=branches), at, place)]
        if word == layout.CHAOS:
            self._refuse_beside(entry.beside, word)
            return [self._made(Step(verb=word, args=self._chaos(entry.value, at)), at, place)]
        return [self._made(Step(verb=word, args=self._fields.read(VERBS[word], entry)), at, place)]

    def _made(self, step: Step, at: Position, place: str) -> Step:
        self._steps += 1
        self._limit(self._steps, layout.STEPS_MAX, at)
        return replace(step, place=place, line=at.line, column=at.column)

    def _limit(self, count: int, most: int, at: Position) -> None:
        if count > most:
            allowed = f"allowed: {layout.STEPS_MAX}"
            self._fields.wrong(at, f"got more than {layout.STEPS_MAX} steps, counted with unrolled loops; {allowed}")
            raise TooManyStepsError

    def _loop(
        self, word: str, value: Node | None, beside: Sequence[tuple[Scalar, Node]], at: Position, place: str
    ) -> list[Step]:
        body = next((node for key, node in beside if key.text == layout.DO), None)
        self._refuse_beside([pair for pair in beside if pair[0].text != layout.DO], word, layout.DO)
        name, rounds = self._each(value, at) if word == layout.FOR_EACH else ("", self._times(value, at))
        if body is None:
            self._fields.wrong(at, f"{word}: the key {layout.DO!r} is missing, with the steps of a round")
            return []
        if isinstance(body, Listing) and not body.items:
            self._fields.wrong(body.at, f"{word}: got no step, allowed: at least one under {layout.DO!r}")
            return []
        found: list[Step] = []
        outer = self._fields.variables.get(name)
        hidden = name in self._fields.variables
        for number, item in enumerate(rounds, 1):
            if name:
                self._fields.variables[name] = item
            shown = item.text if name else f"round {number}"
            steps = self.steps(body, f"{place}.{number}.")
            found += [replace(step, round=" · ".join(filter(None, (shown, step.round)))) for step in steps]
        if name:
            self._fields.variables.pop(name, None)
            if hidden:
                self._fields.variables[name] = outer
        return found

    def _each(self, value: Node | None, at: Position) -> tuple[str, Iterable[Scalar]]:
        example = "{node: [node-1, node-2]}"
        if not isinstance(value, Table) or len(value.pairs) != 1:
            self._fields.wrong(
                value.at if value else at,
                f"{layout.FOR_EACH}: got {value or 'nothing'}, allowed: one name and its values, such as {example}",
            )
            return "", []
        key, listed = value.pairs[0]
        name = self._fields.scalar(key, WORD)
        if name is not None and name in self._fields.variables:
            self._fields.wrong(
                key.at,
                f"{layout.FOR_EACH}: got {name!r}, which is a parameter or the variable of an outer loop already",
            )
        if isinstance(listed, Scalar) and listed.text == layout.ALL:
            if not self._fields.nodes:
                self._fields.wrong(
                    listed.at,
                    f"{layout.FOR_EACH}: got {layout.ALL!r}, which needs `cluster: {{nodes: N}}`; allowed: {example}",
                )
            return name or "", [Scalar(node, quoted=False, at=listed.at) for node in self._fields.nodes]
        items = [self._fields.resolved(item) for item in self._fields.items(listed, f"the values of {key.text}")]
        if isinstance(listed, Listing) and not items:
            self._fields.wrong(
                listed.at, f"{layout.FOR_EACH}: got no value for {key.text}, allowed: at least one, such as {example}"
            )
        for item in items:
            if item is not None and not isinstance(item, Scalar):
                self._fields.wrong(item.at, f"{layout.FOR_EACH}: got {item}, allowed: single values")
        return name or "", [item for item in items if isinstance(item, Scalar)]

    def _times(self, value: Node | None, at: Position) -> Iterable[Scalar]:
        count = self._fields.scalar(value or Scalar("", quoted=False, at=at), COUNT, f"{layout.REPEAT}: ")
        if count is None:
            return []
        if not 1 <= count <= layout.REPEAT_MAX:
            self._fields.wrong(
                value.at if value else at, f"{layout.REPEAT}: got {count}, allowed: 1 to {layout.REPEAT_MAX}"
            )
            return []
        return (Scalar(str(number), quoted=False, at=at) for number in range(1, count + 1))

    def _chaos(self, value: Node | None, at: Position) -> dict[str, Any]:
        if not isinstance(value, Table):
            allowed = ", ".join([*(field.name for field in layout.CHAOS_FIELDS), layout.PICK])
            self._fields.wrong(
                value.at if value else at,
                f"{layout.CHAOS}: got {value or 'nothing'}, allowed: a mapping with {allowed}",
            )
            return {}
        own = Table(tuple(pair for pair in value.pairs if pair[0].text != layout.PICK), value.at)
        args = self._fields.plain(own, layout.CHAOS_FIELDS, layout.CHAOS, also=(layout.PICK,))
        pick = next((node for key, node in value.pairs if key.text == layout.PICK), None)
        if pick is None:
            self._fields.wrong(at, f"{layout.CHAOS}: the key {layout.PICK!r} is missing: {layout.PICK_ABOUT}")
        args[layout.PICK] = tuple(self._picks(pick))
        return args

    def _picks(self, node: Node | None) -> list[tuple[str, int]]:
        found = []
        for key, value in self._fields.pairs(node, layout.PICK):
            if key.text not in layout.DISTURBANCES:
                self._fields.unknown(key, "disturbance", list(layout.DISTURBANCES))
                continue
            weight = self._fields.scalar(value, COUNT, f"{key.text}: ")
            if weight is not None and not 1 <= weight <= layout.WEIGHT_MAX:
                self._fields.wrong(
                    value.at, f"{key.text}: got {weight}, allowed: a weight from 1 to {layout.WEIGHT_MAX}"
                )
            elif weight is not None:
                found.append((key.text, weight))
        if isinstance(node, Table) and not node.pairs:
            self._fields.wrong(node.at, f"{layout.PICK}: got nothing, allowed: {', '.join(layout.DISTURBANCES)}")
        return found

    def _refuse_beside(self, beside: Sequence[tuple[Scalar, Node]], word: str, *allowed: str) -> None:
        for key, _ in beside:
            text = f"{word}: got the key {key.text!r} beside it, allowed: {', '.join(allowed) or 'none'}"
            self._fields.wrong(key.at, text)
