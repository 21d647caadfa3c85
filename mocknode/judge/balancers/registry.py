"""The balancers there are; one line each."""

from mocknode.judge.balancers import caddy, envoy, haproxy, nginx, traefik
from mocknode.judge.balancers.adapter import Adapter, UnknownBalancerError

ADAPTERS: dict[str, Adapter] = {
    adapter.kind: adapter for adapter in (nginx.ADAPTER, haproxy.ADAPTER, envoy.ADAPTER, traefik.ADAPTER, caddy.ADAPTER)
}

KINDS: tuple[str, ...] = tuple(ADAPTERS)


def adapter_of(kind: str) -> Adapter:
    """The adapter of a kind.

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
    """The modes of a kind, the recommended one first.

    Raises:
        UnknownBalancerError: for an unknown kind.
    """
    return adapter_of(kind).modes


def probes(kind: str, mode: str) -> bool:
    """Whether the configuration of this mode makes the balancer probe the nodes.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return adapter_of(kind).probing[check_mode(kind, mode)]


def passes(kind: str, mode: str) -> bool:
    """Whether the configuration of this mode passes the TLS of Tentacles through, node by node.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return check_mode(kind, mode) in adapter_of(kind).passing


def routes_by_name(kind: str, mode: str) -> bool:
    """Whether the configuration of this mode has one more address for Tentacles, at which the TLS server name decides.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return passes(kind, mode) and mode in adapter_of(kind).by_name


def fails_over(kind: str, mode: str) -> bool:
    """Whether the configuration of this mode can have a standby's nodes as a second pool.

    Raises:
        UnknownBalancerError: for an unknown kind or mode.
    """
    return check_mode(kind, mode) in adapter_of(kind).regional


def check_mode(kind: str, mode: str) -> str:
    """The mode itself.

    Raises:
        UnknownBalancerError: when the kind has no such mode, naming those it has.
    """
    if mode not in modes(kind):
        raise UnknownBalancerError(f"{kind} has no mode {mode!r}; it has {', '.join(modes(kind))}")
    return mode
