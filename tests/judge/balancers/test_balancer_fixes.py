import pytest

from mocknode.judge.balancers import CAUSES, KINDS, fix, generic_fix, impossible, limitation
from mocknode.judge.balancers.fixes import _data, _generic


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_is_mended_or_a_limitation_or_impossible(kind: str, cause: str) -> None:
    answers = [
        answer for answer in (fix(kind, cause), limitation(kind, cause), impossible(kind, cause)) if answer is not None
    ]
    assert len(answers) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_data_is_for_a_cause_that_does_not_exist(kind: str) -> None:
    named = {cause for section in _data(kind).values() for cause in section}
    assert named <= set(CAUSES)
    assert set(_generic()["causes"]) == set(CAUSES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fix_is_lines_to_paste_with_their_price(kind: str) -> None:
    for cause in CAUSES:
        found = fix(kind, cause)
        if found is not None:
            assert found.balancer == kind
            assert all(line[:2] in ("+ ", "- ", "# ") for line in found.snippet.splitlines()), found.snippet
            assert found.costs.endswith(".") or "server-state" in found.costs


@pytest.mark.parametrize(
    ("kind", "cause", "line"),
    [
        ("nginx", "body-size-limit", "client_max_body_size 0;"),
        ("nginx", "request-buffering", "proxy_request_buffering off;"),
        ("envoy", "panic-mode", "healthy_panic_threshold"),
        ("envoy", "response-timeout", "timeout: 0s"),
        ("envoy", "slow-probes-while-idle", "no_traffic_interval"),
        ("traefik", "upload-total-limit", "readTimeout"),
        ("traefik", "accepts-redirect", "followRedirects: false"),
        ("haproxy", "accepts-redirect", "http-check expect status 200"),
        ("haproxy", "response-timeout", "timeout server 15m"),
        ("caddy", "accepts-other-2xx", "health_status 200"),
        ("caddy", "random-balancing", "lb_policy round_robin"),
    ],
)
def test_the_fixes_people_come_for(kind: str, cause: str, line: str) -> None:
    found = fix(kind, cause)
    assert found is not None
    assert line in found.snippet


def test_nginx_says_what_to_change_or_buy() -> None:
    reason = limitation("nginx", "no-active-probe")
    assert reason is not None
    assert "nginx Plus" in reason
    assert fix("nginx", "no-active-probe") is None


def test_a_product_that_we_do_not_start_gets_its_own_lines() -> None:
    found = fix("aws-nlb", "drain-cuts-upload")
    assert found is not None
    assert "connection_termination.enabled=false" in found.snippet
    assert "netscaler" not in found.snippet
    everything = fix("unknown", "drain-cuts-upload")
    assert everything == generic_fix("drain-cuts-upload")
    assert everything is not None
    assert "netscaler" in everything.snippet
    nothing_known = fix("self-made", "drain-cuts-upload")
    assert nothing_known is not None
    assert nothing_known.snippet.count("\n") == 0


def test_an_unknown_cause_is_an_error() -> None:
    with pytest.raises(ValueError, match="'gremlins' is not a cause; there are no-active-probe"):
        fix("haproxy", "gremlins")
