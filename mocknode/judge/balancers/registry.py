"""Registry of the balancers that we can start."""

from mocknode.judge.balancers import caddy, envoy, haproxy, nginx, traefik
from mocknode.judge.balancers.adapter import Adapter, UnknownBalancerError

ADAPTERS: dict[str, Adapter] = {
    module.ADAPTER.kind: module.ADAPTER for module in (nginx, haproxy, envoy, traefik, caddy)
}
"""Every balancer that we can start by its kind, in the order in which people see them."""

KINDS: tuple[str, ...] = tuple(ADAPTERS)


def adapter_of(kind: str) -> Adapter:
    """Return the adapter of a kind.

    Raises:
        UnknownBalancerError: naming the kinds there are.
    """
    try:
        return ADAPTERS[kind]
    except KeyError:
        raise UnknownBalancerError(
            f"{kind!r} is not a balancer that can be started; there are {', '.join(KINDS)}"
        ) from None


def modes(kind: str) -> tuple[str, ...]:
    """Return the modes of a kind, the recommended one first.

    Raises:
        UnknownBalancerError: for an unknown kind.
    """
    return adapter_of(kind).modes


def probes(kind: str, mode: str) -> bool:
    """Return whether the configuration of this mode makes the balancer probe the nodes.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return adapter_of(kind).probing[check_mode(kind, mode)]


def passes(kind: str, mode: str) -> bool:
    """Return whether the configuration of this mode passes the TLS of Tentacles through, with an address for each node.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return check_mode(kind, mode) in adapter_of(kind).passing


def routes_by_name(kind: str, mode: str) -> bool:
    """Return whether the configuration of this mode has a shared address for Tentacles, routed by the TLS server name.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return passes(kind, mode) and mode in adapter_of(kind).by_name


def fails_over(kind: str, mode: str) -> bool:
    """Return whether the configuration of this mode can have a standby's nodes as a second pool.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return check_mode(kind, mode) in adapter_of(kind).regional


def check_mode(kind: str, mode: str) -> str:
    """Return the mode if the kind has it.

    Raises:
        UnknownBalancerError: when the kind has no such mode; the message names those it has.
    """
    if mode not in modes(kind):
        raise UnknownBalancerError(f"{kind} has no mode {mode!r}; it has {', '.join(modes(kind))}")
    return mode
