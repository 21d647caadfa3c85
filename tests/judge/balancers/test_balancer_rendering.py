import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.judge import balancers
from mocknode.judge.balancers import (
    KINDS,
    MODES,
    BalancerConfigError,
    Front,
    Node,
    UnknownBalancerError,
    print_config,
    probes,
    render,
)
from mocknode.judge.balancers.adapter import PING_PATH, version_tuple
from mocknode.judge.balancers.registry import ADAPTERS
from mocknode.judge.balancers.rendering import free_ports, placeholders, substitute
from mocknode.judge.catalogue.registry import CHECKS

NODES = [Node(name=f"node-{n}", host="127.0.0.1", port=8080 + n) for n in (1, 2, 3)]
PLAIN = Front(host="127.0.0.1", http_port=9000)
EVERY = [(kind, mode) for kind in KINDS for mode in MODES(kind)]


def rendered(kind: str, mode: str, *, version: str | None = None, front: Front = PLAIN, **more: bool) -> str:
    files = render(kind, mode, front, NODES, Path("/run"), version=version or ADAPTERS[kind].tested, **more)
    return "\n".join(files.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_named_after_its_folder_and_has_a_template_for_each_mode(kind: str) -> None:
    adapter, folder = ADAPTERS[kind], Path(balancers.__file__).parent / kind
    assert adapter.modes[0] == "recommended"
    assert set(adapter.probing) == set(adapter.modes)
    assert adapter.main in adapter.paths
    assert {*adapter.regional} <= set(adapter.modes)
    for mode in adapter.modes:
        assert (folder / f"{mode}.{adapter.main}.j2").is_file()
    assert (folder / "fixes.yaml").is_file()


def test_only_nginx_cannot_probe() -> None:
    assert {kind for kind in KINDS if not probes(kind, "recommended")} == {"nginx"}


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_a_run_names_every_node_and_the_ping_path_where_it_probes(kind: str, mode: str) -> None:
    text = rendered(kind, mode)
    assert all(str(node.port) in text for node in NODES)
    assert (PING_PATH in text) == probes(kind, mode)
    assert "443" not in text


@pytest.mark.parametrize(("kind", "mode"), EVERY)
def test_what_is_printed_is_for_production(kind: str, mode: str) -> None:
    nodes = [Node(name="n1", host="n1.corp.test", port=8080), Node(name="n2", host="fd00::2", port=8080)]
    text = print_config(kind, mode, nodes, "octopus.corp.test")
    adapter = ADAPTERS[kind]
    assert all(f"# --- {adapter.paths[name]}" in text for name in (adapter.main,))
    assert "n1.corp.test" in text
    assert "fd00::2" in text
    assert "443" in text or "https://octopus.corp.test" in text
    assert "daemon off" not in text
    if mode == "recommended":
        assert all(f"{check}" in text for check in ("UP-03", "PR-01", "costs")), (
            "comments say which check and at what cost"
        )


@pytest.mark.parametrize(
    ("kind", "mode", "line"),
    [
        ("traefik", "stock", "interval: 2s"),
        ("caddy", "stock", "health_interval 2s"),
        ("haproxy", "recommended", "inter 1s"),
    ],
)
def test_the_shipped_interval_is_the_absence_of_a_line(kind: str, mode: str, line: str) -> None:
    assert f" {line}" in rendered(kind, mode).replace("\t", " ")
    assert f" {line}" not in rendered(kind, mode, shipped_interval=True).replace("\t", " ").replace("fastinter", "")


def test_lines_follow_the_version() -> None:
    assert "init-state down" not in rendered("haproxy", "recommended", version="2.8.25")
    assert "load-server-state-from-file" in rendered("haproxy", "recommended", version="2.8.25")
    assert "init-state down" in rendered("haproxy", "recommended", version="3.1.0")
    assert "srv_op_state" not in rendered("haproxy", "recommended", version="3.1.0")
    secure = Front(host="127.0.0.1", http_port=9000, https_port=9443, certificate=Path("/c"), key=Path("/k"))
    assert "http2 on;" in rendered("nginx", "stock", version="1.31.3", front=secure)
    assert "ssl http2;" in rendered("nginx", "stock", version="1.22.1", front=secure)
    assert "read_body_idle" not in rendered("caddy", "recommended", version="2.6.2")


@pytest.mark.parametrize(("text", "parts"), [("2.8.25-5cf5d06", (2, 8, 25)), ("v3.10", (3, 10)), ("unknown", ())])
def test_versions_compare_as_numbers(text: str, parts: tuple[int, ...]) -> None:
    assert version_tuple(text) == parts


def test_stock_is_what_a_hurried_administrator_writes_and_nothing_more() -> None:
    assert "client_max_body_size" not in rendered("nginx", "stock")
    assert "proxy_set_header" not in rendered("nginx", "stock")
    assert "proxy_set_header Host $host;" in rendered("nginx", "vendor-doc")
    assert "timeout server 50000" in rendered("haproxy", "stock")
    assert "no_traffic_interval" not in rendered("envoy", "stock")
    assert "status" not in rendered("traefik", "stock")
    assert "lb_policy" not in rendered("caddy", "stock")


def test_names_that_do_not_exist_are_errors() -> None:
    with pytest.raises(UnknownBalancerError, match=rf"'f5'.*{', '.join(KINDS)}"):
        MODES("f5")
    with pytest.raises(UnknownBalancerError, match="haproxy has no mode 'vendor-doc'; it has recommended, stock"):
        rendered("haproxy", "vendor-doc")
    with pytest.raises(BalancerConfigError, match="at least one node"):
        render("haproxy", "stock", PLAIN, [], Path("/run"), version="2.8")
    with pytest.raises(BalancerConfigError, match="needs a certificate and a key"):
        Front(host="", http_port=80, https_port=443)


def test_a_users_template_gets_every_address() -> None:
    secure = Front(
        host="127.0.0.1", http_port=9000, https_port=9443, certificate=Path("/pki/c.pem"), key=Path("/pki/k.pem")
    )
    template = "${FRONT} ${FRONT_HOST} ${FRONT_PORT} ${FRONT_HTTPS_PORT} ${NODE_1_HTTP} ${NODE_3_HTTP} ${CERTIFICATE} ${KEY} ${DIRECTORY}"
    files = render("nginx", "stock", secure, NODES, Path("/run"), version="1", template=template)
    assert files == {
        "nginx.conf": "127.0.0.1:9000 127.0.0.1 9000 9443 127.0.0.1:8081 127.0.0.1:8083 /pki/c.pem /pki/k.pem /run"
    }
    joined = render("haproxy", "stock", secure, NODES, Path("/run"), version="1", template="${CERTIFICATE}")
    assert joined == {"haproxy.cfg": "/run/front.pem"}


def test_an_unknown_placeholder_is_named_with_its_line_and_those_there_are() -> None:
    with pytest.raises(BalancerConfigError) as caught:
        render("nginx", "stock", PLAIN, NODES, Path("/run"), version="1", template="a\nb ${NODE_4_HTTP}\n")
    assert "line 2" in str(caught.value)
    assert "${NODE_4_HTTP}" in str(caught.value)
    assert "${NODE_3_HTTP}" in str(caught.value)
    assert "standby" not in str(caught.value)
    with pytest.raises(BalancerConfigError, match="a standby is there with --profile region"):
        render("nginx", "stock", PLAIN, NODES, Path("/run"), version="1", template="${STANDBY_1_HTTP}")


def test_a_comment_only_speaks_of_placeholders() -> None:
    template = "# ${FRONT_TENTACLE_1}\n  # ${LATER}\nbind ${FRONT} # ${FRONT_HTTPS_PORT}\nstats ${FREE_PORT_2}"
    assert placeholders(template) == {"FRONT", "FRONT_HTTPS_PORT", "FREE_PORT_2"}
    assert free_ports(template) == ["FREE_PORT_2"]
    assert substitute("# ${LATER} ${FRONT}", {"FRONT": "x"}) == "# ${LATER} x"


def test_what_the_balancer_reads_from_the_environment_stays() -> None:
    assert substitute("${USER_LIST} ${FRONT}", {"FRONT": "x"}, {"USER_LIST", "FRONT"}) == "${USER_LIST} x"


@given(
    st.text().filter(lambda text: "${" not in text),
    st.sampled_from(["$host", "${host}", "${http_x}", "$", "${", "$FRONT"]),
)
def test_what_is_not_ours_stays(text: str, own: str) -> None:
    assert substitute(text + own, {"FRONT": "x"}) == text + own


def test_traefik_takes_two_documents() -> None:
    files = render(
        "traefik", "stock", PLAIN, NODES, Path("/run"), version="3", template="--- # static\na: 1\n---\nb: ${FRONT}\n"
    )
    assert files == {"traefik.yml": "a: 1\n", "dynamic.yml": "b: 127.0.0.1:9000\n"}
    with pytest.raises(BalancerConfigError, match=r"2 YAML documents .* got 1"):
        render("traefik", "stock", PLAIN, NODES, Path("/run"), version="3", template="a: 1\n")


def test_every_check_that_a_configuration_names_can_be_run() -> None:
    texts = [path.read_text() for path in Path(balancers.__file__).parent.rglob("*.j2")]
    named = {id_ for text in texts for id_ in re.findall(r"\b[A-Z]{2}-\d\d\b", text)}
    assert named
    assert named <= set(CHECKS)
