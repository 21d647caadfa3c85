"""The guard of locust's web UI: the person at this machine gets through, web pages of other origins do not."""

import pytest

from mocknode.load.users.visitors import refusal

OWN = {"Host": "127.0.0.1:8089"}


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"Host": "localhost:8089"},
        {"Host": "[::1]:8089"},
        OWN | {"Origin": "http://127.0.0.1:8089", "Sec-Fetch-Site": "same-origin"},
        OWN | {"Sec-Fetch-Site": "none"},
    ],
)
def test_our_own_page_gets_through(headers: dict[str, str]) -> None:
    assert refusal(headers) is None


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Host": "evil.example"}, "Host: got 'evil.example'"),
        ({"Host": "x@127.0.0.1"}, "Host: got"),
        ({"Host": "[::1"}, "Host: got"),
        (
            OWN | {"Origin": "https://evil.example"},
            "Origin: got 'https://evil.example', allowed: http://127.0.0.1:8089",
        ),
        (OWN | {"Origin": "null"}, "Origin: got 'null'"),
        (OWN | {"Origin": "http://127.0.0.1:3000"}, "Origin: got"),
        (OWN | {"Sec-Fetch-Site": "cross-site"}, "web pages of other origins"),
        (OWN | {"Sec-Fetch-Site": "Same-Site"}, "web pages of other origins"),
    ],
)
def test_another_page_is_refused(headers: dict[str, str], says: str) -> None:
    assert says in (refusal(headers) or "")
