import pytest

from mocknode.judge.balancers import KINDS, fitted, fix, generic_fix, impossible, kinds_with_fixes, limitation, title
from mocknode.judge.balancers.fixes import _data
from mocknode.judge.balancers.products import UNKNOWN, _others
from mocknode.judge.balancers.registry import ADAPTERS
from mocknode.judge.catalogue.registry import CAUSES, cause_of
from mocknode.judge.verdict.cause import Cause


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_every_cause_is_fixed_or_a_limitation_or_impossible(kind: str, cause: Cause) -> None:
    answers = [
        answer for answer in (fix(kind, cause), limitation(kind, cause), impossible(kind, cause)) if answer is not None
    ]
    assert len(answers) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_data_is_for_a_cause_that_does_not_exist(kind: str) -> None:
    named = {slug for section in _data(kind).values() for slug in section}
    assert named <= set(CAUSES)


def test_other_products_are_not_ours_and_their_lines_are_for_causes_that_exist() -> None:
    assert set(_others()["fixes"]) <= set(CAUSES)
    assert set(_others()["titles"]) <= kinds_with_fixes() - set(KINDS)
    assert not {kind for lines in _others()["fixes"].values() for kind in lines} & {*KINDS, UNKNOWN}


def test_the_title_of_a_product_is_its_adapters() -> None:
    assert [title(kind) for kind in KINDS] == [adapter.title for adapter in ADAPTERS.values()]
    assert (title("aws-alb"), title("kemp"), title(UNKNOWN)) == ("AWS ALB", "kemp", "any other")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fix_is_lines_to_paste_with_their_price(kind: str) -> None:
    for cause in CAUSES.values():
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
    found = fix(kind, cause_of(cause))
    assert found is not None
    assert line in found.snippet


def test_nginx_says_what_to_change_or_buy() -> None:
    blind = cause_of("no-active-probe")
    reason = limitation("nginx", blind)
    assert reason is not None
    assert "nginx Plus" in reason
    assert fix("nginx", blind) is None


def test_a_product_that_we_do_not_start_gets_its_own_lines() -> None:
    cut = cause_of("drain-cuts-upload")
    found = fix("aws-nlb", cut)
    assert found is not None
    assert "connection_termination.enabled=false" in found.snippet
    assert "netscaler" not in found.snippet
    everything = fix(UNKNOWN, cut)
    assert everything == generic_fix(cut)
    assert everything is not None
    assert "netscaler" in everything.snippet
    nothing_known = fix("self-made", cut)
    assert nothing_known is not None
    assert nothing_known.snippet.count("\n") == 0


@pytest.mark.parametrize(
    ("configuration", "lines"),
    [
        ("buffering:\n  retryExpression: x", ["- buffering"]),
        ("retry: { attempts: 3 }", ["- retry", "+ retry"]),
        ("", ["- retry", "+ retry", "- buffering"]),
        ("nothing: of that", ["+ retry"]),
    ],
)
def test_a_line_to_remove_is_one_that_the_configuration_has(configuration: str, lines: list[str]) -> None:
    found = fix("traefik", cause_of("post-replayed"))
    assert found is not None
    shown = fitted(found, configuration).snippet.splitlines()
    assert [line.partition(":")[0] for line in shown] == lines
