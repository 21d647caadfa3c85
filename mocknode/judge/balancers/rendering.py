"""Renders the configuration of a balancer: for a run, from a user's own file, or to paste into production.

The templates are in each balancer's folder as `<mode>.<file name>.j2`. A run and the printed configuration use the same
templates, so that people paste what was measured. Nothing but templates is read.
"""

import dataclasses
import ipaddress
import itertools
import os
import re
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import jinja2

from mocknode.judge.balancers.adapter import (
    PING_PATH,
    WORKERS,
    Adapter,
    BalancerConfigError,
    Front,
    Node,
    host_port,
    version_tuple,
)
from mocknode.judge.balancers.registry import adapter_of, check_mode
from mocknode.judge.balancers.template_variables import TemplateVariables, TentacleAddress

JOINED_CERTIFICATE = "front.pem"
"""File in the run's directory with certificate and key, for balancers that want both in one file."""

RUN_NAME = "octopus.test"
"""Public name in a run; RFC 6761 reserves it, so it belongs to nobody."""

TENTACLE_PORT = 10943
"""Port at which Tentacles poll a node, the default of Octopus; a printed configuration listens from this port on."""

BY_NAME_PORT = 10940
"""Port of a printed configuration that all nodes share, routed by the TLS server name; below the ports of single nodes."""

_FOLDER = Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
_OURS = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_FREE = re.compile(r"FREE_PORT_\d+")


def render(
    kind: str,
    mode: str,
    front: Front,
    nodes: Sequence[Node],
    directory: Path,
    *,
    version: str,
    shipped_interval: bool = False,
    template: str | None = None,
    standby: Sequence[Node] = (),
) -> dict[str, str]:
    """Render the files of a run, by name relative to `directory`, in which the balancer is started.

    Args:
        version: Version of the program; lines that it would not understand are left out.
        shipped_interval: Leave the probe interval to the vendor's default, if there is one.
        template: Text of the user's `--config`: a configuration with `${FRONT}`, `${NODE_1_HTTP}` and so on, used instead of
            the templates of `mode`. For Traefik it is two YAML documents, static and dynamic, separated by `---`.
        standby: Nodes of a second cluster, used while none of `nodes` is healthy; the n-th replaces the n-th.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
        BalancerConfigError: there are no nodes, or the template has an unknown placeholder; the message names the known ones.
    """
    adapter = adapter_of(kind)
    if not nodes:
        raise BalancerConfigError("a balancer needs at least one node to forward to; got none")
    if template is not None:
        values = _values(adapter, front, nodes, directory, standby)
        return _split(adapter, substitute(template, values, os.environ))
    check_mode(kind, mode)
    certificate = Path(JOINED_CERTIFICATE) if adapter.joined_certificate else _absolute(front.certificate)
    return _rendered(
        adapter,
        mode,
        run=True,
        front=front,
        nodes=nodes,
        standby=standby,
        version=version,
        shipped_interval=shipped_interval,
        certificate=certificate,
        key=_absolute(front.key),
        public_name=RUN_NAME,
    )


def print_config(kind: str, mode: str, nodes: Sequence[Node], public_name: str, *, version: str | None = None) -> str:
    """Render the files of `production` one after another, each below a comment with its path.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    files = production(kind, mode, nodes, public_name, version=version)
    return "\n".join(f"# --- {path}\n{text}" for path, text in files.items())


def production(
    kind: str, mode: str, nodes: Sequence[Node], public_name: str, *, version: str | None = None
) -> dict[str, str]:
    """Render a commented configuration to paste, for these nodes and this public name, listening on ports 80 and 443.

    Each node that Tentacles poll gets a port from 10943 on; port 10940 is shared and routed by the server name.

    Returns:
        The text of each file by its path.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    adapter = adapter_of(kind)
    check_mode(kind, mode)
    certificate, key = Path(adapter.certificate), Path(adapter.key)
    polled = [node.name for node in nodes if node.tentacle is not None]
    front = Front(
        host="",
        http_port=80,
        https_port=443,
        certificate=certificate,
        key=key,
        tentacle_ports={name: TENTACLE_PORT + index for index, name in enumerate(polled)},
        tentacle_port=BY_NAME_PORT if polled else None,
    )
    files = _rendered(
        adapter,
        mode,
        run=False,
        front=front,
        nodes=nodes,
        standby=(),
        version=version or adapter.tested,
        shipped_interval=False,
        certificate=certificate,
        key=key,
        public_name=public_name,
    )
    return {adapter.paths[name]: text for name, text in files.items()}


def placeholders(template: str) -> frozenset[str]:
    """Return the names of the `${NAME}` that a user's template uses; comment lines do not count."""
    return frozenset(match[1] for match in _OURS.finditer(template) if not _in_comment(template, match))


def free_ports(template: str) -> list[str]:
    """Return the placeholders of further ports that a user's template listens on, such as for a page of statistics."""
    return sorted(name for name in placeholders(template) if _FREE.fullmatch(name))


def substitute(template: str, values: Mapping[str, str], environment: Container[str] = ()) -> str:
    """Replace each `${NAME}` in the template; `$name` and `${name}` belong to the balancer and stay.

    Args:
        environment: Names of variables that the balancer may read itself (HAProxy does); they stay as well.

    Raises:
        BalancerConfigError: a `${NAME}` is in neither; the message has its line and the names in `values`.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] in values:
            return values[match[1]]
        if match[1] in environment or _in_comment(template, match):
            return match[0]
        line = template.count("\n", 0, match.start()) + 1
        allowed = ", ".join(f"${{{name}}}" for name in values)
        where = " here (a standby is there with --profile region)" if match[1].startswith("STANDBY_") else ""
        raise BalancerConfigError(
            f"line {line} of the configuration names {match[0]}, which is not known{where}, nor set in the environment; known are {allowed}"
        )

    return _OURS.sub(value, template)


def _in_comment(template: str, match: re.Match[str]) -> bool:
    # All products begin a comment with #; a # after other text may be part of a value.
    begins = template.rfind("\n", 0, match.start()) + 1
    return template[begins : match.start()].lstrip().startswith("#")


def _values(
    adapter: Adapter, front: Front, nodes: Sequence[Node], directory: Path, standby: Sequence[Node]
) -> dict[str, str]:
    values = {"FRONT_HOST": front.host, "DIRECTORY": str(directory.absolute())}
    if front.http_port is not None:
        values["FRONT"] = host_port(front.host, front.http_port)
        values["FRONT_PORT"] = str(front.http_port)
    if front.https_port is not None:
        joined = str(directory.absolute() / JOINED_CERTIFICATE)
        values["FRONT_HTTPS_PORT"] = str(front.https_port)
        values["CERTIFICATE"] = joined if adapter.joined_certificate else str(_absolute(front.certificate))
        values["KEY"] = joined if adapter.joined_certificate else str(_absolute(front.key))
    for number, node in enumerate(nodes, 1):
        values[f"NODE_{number}_HTTP"] = node.address
        values[f"NODE_{number}_HOST"] = node.host
        values[f"NODE_{number}_PORT"] = str(node.port)
        if node.tentacle is not None:
            values[f"NODE_{number}_TENTACLE"] = node.tentacle.address
            values[f"NODE_{number}_TENTACLE_HOST"] = node.tentacle.host
            values[f"NODE_{number}_TENTACLE_PORT"] = str(node.tentacle.port)
        if (own := front.tentacle_ports.get(node.name)) is not None:
            values[f"FRONT_TENTACLE_{number}"] = host_port(front.host, own)
            values[f"FRONT_TENTACLE_{number}_PORT"] = str(own)
        if front.tentacle_port is not None and node.name in front.tentacle_names:
            values[f"FRONT_TENTACLE_{number}_NAME"] = front.tentacle_names[node.name]
    for number, node in enumerate(standby, 1):
        values[f"STANDBY_{number}_HTTP"] = node.address
        values[f"STANDBY_{number}_HOST"] = node.host
        values[f"STANDBY_{number}_PORT"] = str(node.port)
        if node.tentacle is not None:
            values[f"STANDBY_{number}_TENTACLE"] = node.tentacle.address
            values[f"STANDBY_{number}_TENTACLE_HOST"] = node.tentacle.host
            values[f"STANDBY_{number}_TENTACLE_PORT"] = str(node.tentacle.port)
    if front.tentacle_port is not None:
        values["FRONT_TENTACLE"] = host_port(front.host, front.tentacle_port)
        values["FRONT_TENTACLE_PORT"] = str(front.tentacle_port)
    return values | {name: str(port) for name, port in front.free_ports.items()}


def _split(adapter: Adapter, text: str) -> dict[str, str]:
    names = list(adapter.paths)
    if adapter.documents == 1:
        return {adapter.main: text}
    parts = re.split(r"(?m)^---(?:[ \t]*|[ \t]+#.*)\n", text)
    parts = [part for part in parts if part.strip()]
    if len(parts) != adapter.documents:
        raise BalancerConfigError(
            f"a configuration of {adapter.title} is {adapter.documents} YAML documents separated by a line ---, "
            f"for {' and '.join(names)}; got {len(parts)}"
        )
    return dict(zip(names, parts, strict=True))


def _rendered(
    adapter: Adapter, mode: str, *, run: bool, front: Front, nodes: Sequence[Node], standby: Sequence[Node], version: str,
    shipped_interval: bool, certificate: Path | None, key: Path | None, public_name: str,
) -> dict[str, str]:  # fmt: skip
    variables = TemplateVariables(
        run=run,
        front=front,
        bind=lambda port: host_port(front.host, port),
        nodes=nodes,
        standby=standby,
        tentacles=_tentacles(front, nodes, standby, public_name) if mode in adapter.passing else (),
        ping=PING_PATH,
        public_name=public_name,
        certificate=certificate,
        key=key,
        workers=WORKERS,
        user=_root_user(),
        shipped_interval=shipped_interval,
        addresses_only=all(_is_address(node.host) for node in nodes),
        version=version_tuple(version),
        version_text=version,
    )
    context = {field.name: getattr(variables, field.name) for field in dataclasses.fields(variables)}
    files = {}
    for name in adapter.paths:
        path = f"{adapter.kind}/{mode}.{name}.j2"
        if (_FOLDER / path).is_file():
            text = _TEMPLATES.get_template(path).render(context)
            if text.strip():
                files[name] = text
    return files


def _tentacles(front: Front, nodes: Sequence[Node], standby: Sequence[Node], public_name: str) -> list[TentacleAddress]:
    return [
        TentacleAddress(
            node=node.name,
            host=node.tentacle.host,
            port=node.tentacle.port,
            address=node.tentacle.address,
            front=front.tentacle_ports[node.name],
            name=polling_name(node.name, public_name),
            standby=second,
        )
        for node, second in itertools.zip_longest(nodes, standby)
        if node.tentacle is not None and node.name in front.tentacle_ports
    ]


def polling_name(node: str, public_name: str = RUN_NAME) -> str:
    """Return the TLS server name of a node at the shared port; in a run it is below `octopus.test`."""
    return f"{node}.{public_name}".lower()


def _absolute(path: Path | None) -> Path | None:
    # The balancer runs in a directory of its own.
    return None if path is None else path.absolute()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_root() -> bool:
    """Return whether we are root, so that a program may run its workers as another user."""
    return sys.platform != "win32" and os.geteuid() == 0


def _root_user() -> str | None:
    """Return user and group for the workers when we are root; as `nobody` they could not write in a 0700 directory."""
    if sys.platform == "win32" or not is_root():
        return None
    import grp
    import pwd

    return f"{pwd.getpwuid(0).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
