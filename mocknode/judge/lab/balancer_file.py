"""The balancer file: what its operator declares about the balancer. Strict YAML.

Unknown and duplicate keys are refused with their line. An acceptance past its date no longer applies: its failure counts again.
"""

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mocknode.judge.traffic.polling_session import PollingAddress
from mocknode.text import strict_yaml
from mocknode.text.strict_yaml import Document, StrictYamlError
from mocknode.text.units import parse_duration, parse_size


class BalancerFileError(ValueError):
    """The file has a mistake; the message names line, key, what was got and what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _day(value: object) -> object:
    """Refuse numbers, which would otherwise pass as seconds since 1970."""
    if isinstance(value, int | float):
        raise ValueError("not a day; write one such as 2027-03-01")
    return value


class Acceptance(_Strict):
    """A failure that the owner accepts, with a reason and an end date."""

    id: str
    because: str = Field(min_length=1)
    until: Annotated[datetime.date, BeforeValidator(_day)]

    def holds(self, today: datetime.date) -> bool:
        """Whether it has not expired; the last day still counts."""
        return today <= self.until


class Timeouts(_Strict):
    """Declared limits in seconds."""

    idle: Annotated[float, BeforeValidator(lambda value: parse_duration(str(value)))] | None = None


def place(node: str, address: str) -> PollingAddress:
    """Return where a node is polled.

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
    return PollingAddress(node=node, host=parts.hostname, port=port)


def _addresses(value: dict[str, str]) -> dict[str, str]:
    for node, address in value.items():
        place(node, address)
    return value


class BalancerFile(_Strict):
    """What a balancer file declares. `hooks` is refused with a message of its own, as it is planned but not built."""

    # Strict, because `true` and `1.0` equal 1.
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

    def places(self) -> dict[str, PollingAddress]:
        """Return where Tentacles poll each node."""
        return {node: place(node, address) for node, address in self.tentacles.items()}


LATER = {
    "hooks": "hooks are not supported yet; remove the key",
}


def load(path: Path, known_checks: frozenset[str], known_kinds: frozenset[str]) -> BalancerFile:
    """Read and validate a balancer file.

    Args:
        known_checks: Ids that `accept` may name.
        known_kinds: Kinds that `kind` may name.

    Raises:
        BalancerFileError: the file has a mistake.
    """
    try:
        document = strict_yaml.read(path)
    except StrictYamlError as exc:
        raise BalancerFileError(str(exc)) from exc
    if not isinstance(document.content, dict):
        raise BalancerFileError(f"{path}: a balancer file is a mapping that begins with `mocknode-balancer: 1`")
    for key, why in LATER.items():
        if key in document.content:
            raise BalancerFileError(f"{path}, line {document.line((key,))}: {why}")
    try:
        found = BalancerFile.model_validate(document.content)
    except ValidationError as exc:
        raise BalancerFileError("; ".join(_describe(path, document, error) for error in exc.errors())) from exc
    _check_names(path, document, found, known_checks, known_kinds)
    return found


def _describe(path: Path, document: Document, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    at = f"{path}, line {document.line(error['loc'])}"
    if error["type"] == "extra_forbidden":
        owner, *inside = error["loc"]
        nested: dict[str, type[BaseModel]] = {"timeouts": Timeouts, "accept": Acceptance}
        model = nested[str(owner)] if inside else BalancerFile
        known = sorted(f.alias or name for name, f in model.model_fields.items())
        return f"{at}: unknown key {where!r}; allowed {f'in {owner}' if inside else 'at the top'}: {', '.join(known)}"
    return f"{at}: {where}: {error['msg']}, got {error['input']!r}"


def _check_names(
    path: Path, document: Document, found: BalancerFile, checks: frozenset[str], kinds: frozenset[str]
) -> None:
    for index, acceptance in enumerate(found.accept):
        if acceptance.id not in checks:
            line = document.line(("accept", index, "id"))
            raise BalancerFileError(
                f"{path}, line {line}: no check {acceptance.id!r}; allowed are {', '.join(sorted(checks))}"
            )
    if found.kind is not None and found.kind not in kinds:
        line = document.line(("kind",))
        raise BalancerFileError(
            f"{path}, line {line}: no fixes are known for {found.kind!r}; allowed are {', '.join(sorted(kinds))}"
        )
