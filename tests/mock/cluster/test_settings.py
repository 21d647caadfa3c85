"""Settings: every error names the flag, what was got and what is allowed."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.cluster.settings import (
    ClusterSettings,
    advertised,
    is_loopback,
    numbered_nodes,
    parse_node,
    read_token,
)
from mocknode.mock.cluster.settings_error import SettingsError


def settings(**changed: Any) -> ClusterSettings:
    nodes = numbered_nodes(3, host="127.0.0.1", http_port=8081, https_port=None)
    return ClusterSettings(**{"nodes": nodes, "run_dir": Path(), "identity_dir": Path(), **changed})


def test_numbered_nodes() -> None:
    nodes = numbered_nodes(3, host="127.0.0.1", http_port=8081, https_port=0)
    assert [(n.name, n.http_port, n.https_port) for n in nodes] == [
        ("node-1", 8081, 0),
        ("node-2", 8082, 0),
        ("node-3", 8083, 0),
    ]


def test_a_node_by_name() -> None:
    node = parse_node("west-1=127.0.0.2:8081,https=127.0.0.2:8443,advertise=west.example.test")
    assert (node.name, node.host, node.http_port, node.https_port) == ("west-1", "127.0.0.2", 8081, 8443)
    assert node.advertise == "west.example.test"
    assert parse_node("a=[::1]:0").host == "::1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("127.0.0.1:80", "NAME=HOST:PORT"),
        ("a b=127.0.0.1:80", "NAME=HOST:PORT"),
        ("a=127.0.0.1", "HOST:PORT with a port"),
        ("a=127.0.0.1:99999", "HOST:PORT with a port"),
        ("a=127.0.0.1:x", "HOST:PORT with a port"),
        ("a=127.0.0.1:80,htps=127.0.0.1:81", "did you mean https"),
        ("a=127.0.0.1:80,https=127.0.0.2:81", "both must be one address"),
        ("a=127.0.0.1:80,advertise=x,advertise=y", "advertise=y"),
        ("a=127.0.0.1:80,tentacle=127.0.0.1", "HOST:PORT with a port"),
    ],
)
def test_nodes_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse_node(text)


@given(st.text())
def test_any_text_is_a_node_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert 0 <= parse_node(text).http_port <= 65535


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"nodes": ()}, "--nodes: got 0, allowed: 1 to"),
        ({"nodes": (parse_node("a=127.0.0.1:1"), parse_node("A=127.0.0.1:2"))}, "two nodes are called 'A'"),
        ({"api_key": "API-abc"}, "--api-key: got 'API-abc'"),
        ({"certificate": Path("x")}, "--certificate and --key go together"),
        ({"host": "0.0.0.0"}, "needs --control-token-file"),
    ],
)
def test_clusters_that_cannot_be(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(**changed)


def test_loopback_and_what_others_are_told() -> None:
    assert is_loopback("127.8.9.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1")
    assert not is_loopback("node.example.test")
    assert advertised("127.0.0.1") == "127.0.0.1"
    assert advertised("0.0.0.0") not in ("0.0.0.0", "")


def test_tokens(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert read_token(tmp_path / "token") == "s3cret"
    for content in ("", "two words", "zwei\nzeilen", "schlüssel"):
        (tmp_path / "token").write_text(content)
        with pytest.raises(SettingsError, match="one line of printable ASCII"):
            read_token(tmp_path / "token")
    with pytest.raises(SettingsError, match="No such file"):
        read_token(tmp_path / "missing")
