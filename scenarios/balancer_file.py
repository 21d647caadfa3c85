"""The balancer file: what its operator declares about the balancer. Strict YAML.

Unknown and duplicate keys are refused with their line; an acceptance past its date is a failure again.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mocknode.units import parse_duration, parse_size
from scenarios.traffic.polling import Place


class BalancerFileError(ValueError):
    """The file does not say what it may say; the message names line, key, what was got and what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _day(value: object) -> object:
    """Refuses numbers, which would pass as seconds since 1970."""
    if isinstance(value, int | float):
        raise ValueError("not a day; write one such as 2027-03-01")
    return value


class Acceptance(_Strict):
    """A failure that its owner lives with, for a reason and until a day."""

    id: str
    because: str = Field(min_length=1)
    until: Annotated[datetime.date, BeforeValidator(_day)]

    def holds(self, today: datetime.date) -> bool:
        """Not expired: the last day still counts."""
        return today <= self.until


class Timeouts(_Strict):
    """Declared limits in seconds."""

    idle: Annotated[float, BeforeValidator(lambda value: parse_duration(str(value)))] | None = None


def place(node: str, address: str) -> Place:
    """Where a node is polled.

    Raises:
        ValueError: naming what was got and what is allowed.
    """
    parts = urlsplit(f"//{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port or parts.path or parts.username is not None:
        raise ValueError(f"got {address!r}, allowed: HOST:PORT with a port from 1 to 65535")
    return Place(node=node, host=parts.hostname, port=port)


def _addresses(value: dict[str, str]) -> dict[str, str]:
    for node, address in value.items():
        place(node, address)
    return value


class BalancerFile(_Strict):
    """The declarations. `hooks` is known but belongs to later work, so it is refused by name."""

    # Strict: `true` and `1.0` are equal to 1.
    version: int = Field(alias="mocknode-balancer", strict=True, ge=1, le=1)
    kind: str | None = None
    url: str | None = None
    tentacles: Annotated[dict[str, str], AfterValidator(_addresses)] = Field(default_factory=dict)
    layer: Literal["l4", "l7"] = "l7"
    all_drained: Literal["closed", "open"] | None = Field(default=None, alias="all-drained")
    failback: Literal["manual", "auto"] | None = None
    upload_limit: Annotated[int, BeforeValidator(lambda value: parse_size(str(value)))] | None = Field(
        default=None, alias="upload-limit"
    )
    timeouts: Timeouts = Timeouts()
    accept: tuple[Acceptance, ...] = ()

    def places(self) -> dict[str, Place]:
        """Where each node is polled by Tentacles."""
        return {node: place(node, address) for node, address in self.tentacles.items()}


LATER = {
    "hooks": "hooks are not built yet; remove the key",
}


class _Loader(yaml.SafeLoader):
    """Safe, and strict about duplicate keys, which YAML itself lets win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _value in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise BalancerFileError(f"line {key_node.start_mark.line + 1}: a key is a word, got {key!r}")
            if key in seen:
                raise BalancerFileError(f"line {key_node.start_mark.line + 1}: {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path, known_checks: frozenset[str], known_kinds: frozenset[str]) -> BalancerFile:
    """Read and validate a balancer file.

    Args:
        known_checks: Ids that `accept` may name.
        known_kinds: Kinds that `kind` may name.

    Raises:
        BalancerFileError: for everything that the file may not say.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        node = loader.get_single_node()
        document = loader.construct_document(node) if node is not None else None
    except OSError as exc:
        raise BalancerFileError(f"{path}: {exc.strerror}") from exc
    except BalancerFileError as exc:
        raise BalancerFileError(f"{path}, {exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise BalancerFileError(f"{path} is not YAML: {exc}") from exc
    except ValueError as exc:
        raise BalancerFileError(f"{path}: a value, such as a date, is none of its kind: {exc}") from exc
    if not isinstance(document, dict):
        raise BalancerFileError(f"{path}: a balancer file is a mapping that begins with `mocknode-balancer: 1`")
    for key, why in LATER.items():
        if key in document:
            raise BalancerFileError(f"{path}, line {_line(node, (key,))}: {why}")
    try:
        found = BalancerFile.model_validate(document)
    except ValidationError as exc:
        raise BalancerFileError("; ".join(_words(path, node, error) for error in exc.errors())) from exc
    _check_names(path, node, found, known_checks, known_kinds)
    return found


def _line(node: yaml.Node | None, place: Sequence[int | str]) -> int:
    """Line of the key or entry at `place`, or of the innermost one above it that the file has."""
    line = 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            key, node = next(((k, v) for k, v in node.value if k.value == part), (None, None))
            line = line if key is None else key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def _words(path: Path, node: yaml.Node | None, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    at = f"{path}, line {_line(node, error['loc'])}"
    if error["type"] == "extra_forbidden":
        owner, *inside = error["loc"]
        nested: dict[str, type[BaseModel]] = {"timeouts": Timeouts, "accept": Acceptance}
        model = nested[str(owner)] if inside else BalancerFile
        known = sorted(f.alias or name for name, f in model.model_fields.items())
        return f"{at}: unknown key {where!r}; {f'in {owner}' if inside else 'at the top'} are known: {', '.join(known)}"
    return f"{at}: {where}: {error['msg']}, got {error['input']!r}"


def _check_names(
    path: Path, node: yaml.Node | None, found: BalancerFile, checks: frozenset[str], kinds: frozenset[str]
) -> None:
    for index, acceptance in enumerate(found.accept):
        if acceptance.id not in checks:
            line = _line(node, ("accept", index, "id"))
            raise BalancerFileError(
                f"{path}, line {line}: no check {acceptance.id!r}; there are {', '.join(sorted(checks))}"
            )
    if found.kind is not None and found.kind not in kinds:
        line = _line(node, ("kind",))
        raise BalancerFileError(
            f"{path}, line {line}: no fixes are known for {found.kind!r}; kinds are {', '.join(sorted(kinds))}"
        )
