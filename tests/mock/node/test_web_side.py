"""The server's web side: headers, roots, sign-in, limiter, proxies, redirects, maintenance, paging; sources in FIDELITY.md."""

import contextlib
import http.client
import http.cookies
import json
import select
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from node_process import KEY, multipart

from mocknode.mock.data.directory import PUSH, Directory, Feed, Space, User, hash_password
from mocknode.mock.data.store import Store
from mocknode.mock.node.http.proxies import client_address
from mocknode.mock.node.rest.limiter import Limiter
from mocknode.mock.node.web import Rate, networks

PUSHER = "API-PUSHER"
RAW = "/api/Spaces-1/packages/raw"


def directory(node):
    return Directory(Store(f"sqlite:///{node.run_dir}/store.db"))


def add_user(node, **facts):
    shared = directory(node)
    user = User(**{"id": "Users-7", "username": "pusher", "permissions": (PUSH,), **facts})
    shared.put(user)
    shared.add_key(user.id, PUSHER, purpose="tests", now_s=0)


def get(node, path, **headers):
    status, answered, body = node.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return status, answered, json.loads(body)


def put(node, path, document, **headers):
    return node.request(
        "PUT", path, json.dumps(document).encode(), {k.replace("_", "-"): v for k, v in headers.items()}
    )


# Headers and roots


@pytest.mark.parametrize(
    "path", ["/api", "/api/octopusservernodes/ping", "/api/spaces/all", "/api/nothing", "/api/users/me"]
)
def test_every_answer_names_its_node_and_forbids_caching(node, path):
    headers = node.request("GET", path)[1]
    assert headers["octopus-node"] == "node-1"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["cache-control"] == "private, no-cache, no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "content-security-policy" in headers
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize("path", ["/", "/?x=1"])
def test_what_probes_the_portal_sees_no_drain(node, path):
    node.state("draining")
    status, headers, body = node.request("GET", path, headers={"X-Octopus-ApiKey": ""})
    assert (status, headers["location"], headers["octopus-node"], body) == (302, "/app", "node-1", b"")
    status, headers, body = node.request("GET", "/app", headers={"X-Octopus-ApiKey": ""})
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"no portal" in body
    assert node.ping() == 418


@pytest.mark.parametrize("path", ["/api", "/api/", "/API", "/x/../api"])
def test_the_root_says_what_clients_decide_by(start_node, path):
    node = start_node(version="2026.3.1", installation_id="7d2f8b3c-0000-4000-8000-000000000001")
    status, _, root = get(node, path, X_Octopus_ApiKey="")
    assert (status, root["Application"], root["Version"], root["ApiVersion"]) == (
        200,
        "Octopus Deploy",
        "2026.3.1",
        "3.0.0",
    )
    assert uuid.UUID(root["InstallationId"])
    for link in ("PackageUpload", "PackageDeltaUpload"):
        assert "replace" in root["Links"][link]
        assert "overwriteMode" in root["Links"][link]
    assert all(template.startswith("/") for template in root["Links"].values())
    assert get(node, root["Links"]["SpaceHome"].replace("{spaceId}", "Spaces-1"))[2]["Id"] == "Spaces-1"


def test_versions_differ_by_node(start_node):
    start_node(version="2026.1.1")
    second = start_node(name="node-2", version="2026.2.2")
    summary = get(second, "/api/octopusservernodes/summary")[2]
    assert [node["Version"] for node in summary["Nodes"]] == ["2026.1.1", "2026.2.2"]


@pytest.mark.parametrize(
    "path", ["/api/octopusservernodes//OctopusServerNodes-node-1", "/api//spaces//all/", "/api/SPACES/all"]
)
def test_doubled_slashes_and_case_are_tolerated(node, path):
    assert node.request("GET", path)[0] == 200


@pytest.mark.parametrize("override", ["DELETE", "delete"])
def test_a_post_with_the_override_header_is_what_it_says(node, override):
    assert node.request("POST", RAW, *multipart(b"x"))[0] == 201
    path = "/api/Spaces-1/packages/packages-Acme.Web.1.0.0"
    assert node.request("POST", path, b"")[0] == 405
    assert node.request("POST", path, b"", {"X-HTTP-Method-Override": override})[0] == 200
    assert node.request("GET", path)[0] == 404


def test_only_put_and_delete_can_be_meant_by_a_post(node):
    headers = {"X-HTTP-Method-Override": "GET"}
    assert node.request("POST", "/api/spaces/all", b"", headers)[0] == 405
    assert node.request("GET", "/api/spaces/all", headers={"X-HTTP-Method-Override": "DELETE"})[0] == 200


# Sign-in


def login(node, name="admin", password=KEY, **state):
    body = json.dumps({"Username": name, "Password": password, "State": state}).encode()
    return node.request("POST", "/api/users/login", body, {"X-Octopus-ApiKey": ""})


def cookies_of(node, **state):
    """Name and value of both cookies, with their attributes."""
    body = json.dumps({"Username": "admin", "Password": KEY, "State": state})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)) as connection:
        connection.request("POST", "/api/users/login", body)
        answer = connection.getresponse()
        answer.read()
        jar = http.cookies.SimpleCookie()
        for value in answer.headers.get_all("Set-Cookie"):
            jar.load(value)
    return jar


def test_signing_in_gives_two_cookies_that_every_node_accepts(start_node):
    first, second = start_node(), start_node(name="node-2")
    jar = cookies_of(first)
    identity = next(name for name in jar if name.startswith("OctopusIdentificationToken_"))
    csrf = next(name for name in jar if name.startswith("Octopus-Csrf-Token_"))
    assert (bool(jar[identity]["httponly"]), bool(jar[csrf]["httponly"]), len(jar)) == (True, False, 2)
    cookie = "; ".join(f"{name}={jar[name].value}" for name in jar)
    signed_in = {"X-Octopus-ApiKey": "", "Cookie": cookie}
    assert json.loads(second.request("GET", "/api/users/me", headers=signed_in)[2])["Username"] == "admin"
    change = ("PUT", "/api/maintenanceconfiguration", b'{"IsInMaintenanceMode": false}')
    status, _, answer = second.request(*change, signed_in)
    assert (status, "anti-forgery token" in json.loads(answer)["ErrorMessage"]) == (400, True)
    assert second.request(*change, {**signed_in, "X-Octopus-Csrf-Token": "wrong"})[0] == 400
    assert second.request(*change, {**signed_in, "X-Octopus-Csrf-Token": jar[csrf].value})[0] == 200


@pytest.mark.parametrize(("hint", "secure"), [(True, True), (False, False)])
def test_the_clients_hint_makes_cookies_secure(node, hint, secure):
    jar = cookies_of(node, UsingSecureConnection=hint)
    assert [bool(morsel["secure"]) for morsel in jar.values()] == [secure, secure]


def test_wrong_passwords_sign_nobody_in(start_node):
    node = start_node()
    add_user(node, password=hash_password("right"))
    assert login(node, "PUSHER", "right")[0] == 200
    for name, password in (("pusher", "wrong"), ("nobody", "right"), ("admin", "wrong"), ("pusher", "")):
        status, headers, body = login(node, name, password)
        assert (status, "set-cookie" in headers) == (400, False)
        assert json.loads(body)["Errors"] == ["Invalid username or password."]
        assert "right" not in body.decode()


def test_keys_are_made_shown_once_and_revoked(node):
    made = json.loads(node.request("POST", "/api/users/me/apikeys", b'{"Purpose": "ci"}')[2])
    assert made["ApiKey"].startswith("API-")
    assert made["ApiKey"][4:].isalnum()
    assert made["ApiKey"][4:].upper() == made["ApiKey"][4:]
    assert get(node, "/api/spaces/all", X_Octopus_ApiKey=made["ApiKey"])[0] == 200
    listed = node.request("GET", "/api/users/me/apikeys")[2].decode()
    assert made["Id"] in listed
    assert made["ApiKey"] not in listed
    assert node.request("DELETE", f"/api/users/me/apikeys/{made['Id']}")[0] == 200
    assert node.request("GET", "/api/spaces/all", headers={"X-Octopus-ApiKey": made["ApiKey"]})[0] == 401


def test_a_token_of_an_issuer_is_exchanged_for_an_access_token(start_node, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{**public, "kid": "k", "use": "sig", "alg": "RS256"}]}))
    node = start_node(web={"oidc_keys": str(tmp_path / "keys.json"), "external_url": "https://octopus.corp.test/base"})
    add_user(node, is_service=True, audience="aud-1", issuer="https://issuer.test", subject="repo:a/b")
    found = get(node, "/.well-known/openid-configuration", X_Octopus_ApiKey="")[2]
    assert found["token_endpoint"] == "https://octopus.corp.test/base/api/token/v1"

    def exchange(**changed):
        now = int(time.time())
        claims = {
            "iss": "https://issuer.test",
            "aud": "aud-1",
            "sub": "repo:a/b",
            "iat": now,
            "exp": now + 60,
            **changed,
        }
        body = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": "aud-1",
            "subject_token": jwt.encode(claims, key, "RS256", {"kid": "k"}),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        }  # fmt: skip
        status, _, answer = node.request("POST", "/api/token/v1", json.dumps(body).encode(), {"X-Octopus-ApiKey": ""})
        return status, json.loads(answer)

    status, token = exchange()
    assert (status, token["token_type"], token["expires_in"]) == (200, "Bearer", 3600)
    me = get(node, "/api/users/me", X_Octopus_ApiKey="", Authorization=f"Bearer {token['access_token']}")
    assert me[2]["Username"] == "pusher"
    for wrong in ({"sub": "repo:evil/b"}, {"aud": "other"}, {"iss": "https://evil.test"}, {"exp": 1}):
        status, refusal = exchange(**wrong)
        assert (status, refusal["error"]) == (400, "invalid_grant")


# Permissions and maintenance


def test_a_push_only_key_adds_and_replaces_nothing(start_node):
    node = start_node()
    add_user(node)
    body, headers = multipart(b"x")
    headers["X-Octopus-ApiKey"] = PUSHER
    assert node.request("POST", RAW, body, headers)[0] == 201
    status, _, answer = node.request("POST", RAW + "?overwriteMode=OverwriteExisting", body, headers)
    assert (status, "Missing permission: BuiltInFeedAdminister" in json.loads(answer)["ErrorMessage"]) == (403, True)
    assert node.request("DELETE", "/api/packages/Acme.Web.1.0.0", headers={"X-Octopus-ApiKey": PUSHER})[0] == 403
    drain = {"IsInMaintenanceMode": True}
    assert put(node, "/api/octopusservernodes/OctopusServerNodes-node-1", drain, X_Octopus_ApiKey=PUSHER)[0] == 403


@pytest.mark.parametrize(("web", "status"), [({}, 503), ({"maintenance_status": 403}, 403)])
def test_maintenance_stops_changes_of_others_and_no_ping_shows_it(start_node, web, status):
    first, second = start_node(web=web), start_node(name="node-2", web=web)
    add_user(first)
    assert put(first, "/api/maintenanceconfiguration", {"IsInMaintenanceMode": True})[0] == 200
    body, headers = multipart(b"x")
    for node in (first, second):
        assert node.request("POST", RAW, body, {**headers, "X-Octopus-ApiKey": PUSHER})[0] == status
        code, _, ping = get(node, "/api/octopusservernodes/ping")
        assert (code, ping["IsInMaintenanceMode"]) == (200, False)
        assert get(node, "/api/serverstatus")[2]["IsInMaintenanceMode"] is True
        assert get(node, "/api/packages", X_Octopus_ApiKey=PUSHER)[0] == 200
    assert second.request("POST", RAW, body, headers)[0] == 201


# Health of the cluster


def test_health_is_the_clusters_and_falls_when_all_drain(start_node):
    first, second = start_node(), start_node(name="node-2")
    for node, status in ((first, 200), (second, 418)):
        node.state("draining")
        assert node.ping() == 418
        node.do("status")
        for asked in (first, second):
            deadline_health(asked, status)
            assert get(asked, "/api/serverstatus/hosted/internal", X_Octopus_ApiKey="")[0] == 200


def deadline_health(node, status):
    """The node's row is written beside the request: look until it is there."""
    deadline = time.monotonic() + 10
    while (answer := get(node, "/api/serverstatus/health", X_Octopus_ApiKey=""))[0] != status:
        assert time.monotonic() < deadline, answer
        select.select([], [], [], 0.01)
    assert answer[2]["IsEntireClusterDrainingTasks"] is (status == 418)


# Limiter, proxies, redirects


def test_the_limiter_is_a_bucket_a_caller():
    limiter = Limiter(Rate(per_minute=60, burst=2))
    taken = [limiter.take("a", 0.0) for _ in range(3)]
    assert [one.allowed for one in taken] == [True, True, False]
    assert dict(taken[2].refusal) == {
        b"octopus-ratelimit-policy": b"l=2;rpm=60", b"octopus-ratelimit": b"r=0;t=2", b"retry-after": b"1"
    }  # fmt: skip
    assert limiter.take("b", 0.0).allowed
    assert not limiter.take("a", 0.9).allowed
    assert limiter.take("a", 1.0).allowed


def test_a_user_is_limited_and_each_node_counts_alone(start_node):
    web = {"rate": {"per_minute": 1, "burst": 2}, "anonymous_rate": {"per_minute": 1, "burst": 1}}
    first, second = start_node(web=web), start_node(name="node-2", web=web)
    for node in (first, second):
        assert [get(node, "/api/spaces/all")[0] for _ in range(3)] == [200, 200, 429]
        status, headers, document = get(node, "/api/spaces/all")
        assert (status, "Too many requests" in document["ErrorMessage"]) == (429, True)
        assert headers["octopus-ratelimit-policy"] == "l=2;rpm=1"
        assert int(headers["retry-after"]) > 0
        assert [get(node, "/api", X_Octopus_ApiKey="")[0] for _ in range(2)] == [200, 429]
        assert node.ping() == 200


def test_what_is_over_the_limit_is_not_processed(start_node):
    node = start_node(web={"rate": {"per_minute": 1, "burst": 1}})
    other = start_node(name="node-2")
    assert node.request("POST", RAW, *multipart(b"x"))[0] == 201
    assert node.request("POST", RAW, *multipart(b"x", "Acme.Web.2.0.0.zip"))[0] == 429
    assert get(other, "/api/packages")[2]["TotalResults"] == 1


def test_an_audit_refuses_nobody_and_a_switch_charges_the_ping(start_node):
    rate = {"per_minute": 1, "burst": 1}
    audited = start_node(web={"rate": rate, "rate_audit": True})
    assert [get(audited, "/api/spaces/all")[0] for _ in range(3)] == [200] * 3
    charged = start_node(name="node-2", web={"anonymous_rate": rate, "rate_ping": True})
    assert [charged.ping() for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("peer", "lines", "trusted", "client"),
    [
        ("192.168.123.111", ["100.100.101.102, 200.123.124.125"], ["192.168.123.111"], "200.123.124.125"),
        ("192.168.123.111", ["100.100.101.102, 200.123.124.125"], [], "192.168.123.111"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.7"], ["10.0.0.0/8"], "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.8, 10.0.0.7"], ["10.0.0.0/8"], "10.0.0.8"),
        ("10.0.0.1", ["1.2.3.4", "5.6.7.8"], ["10.0.0.0/8"], "5.6.7.8"),
    ],
)
def test_the_client_is_found_behind_trusted_proxies(peer, lines, trusted, client):
    assert client_address(peer, lines, networks(tuple(trusted))) == client


@pytest.mark.parametrize(("trusted", "statuses"), [(("127.0.0.1",), [200, 200]), ((), [200, 429])])
def test_without_trusted_proxies_a_limit_takes_all_clients_for_one(start_node, trusted, statuses):
    node = start_node(web={"anonymous_rate": {"per_minute": 1, "burst": 1}, "trusted_proxies": trusted})
    seen = [get(node, "/api", X_Octopus_ApiKey="", X_Forwarded_For=f"198.51.100.{n}")[0] for n in (1, 2)]
    assert seen == statuses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_plain_http_is_redirected_to_a_configured_address_only(start_node, status):
    node = start_node(web={"force_ssl": status, "external_url": "https://octopus.corp.test"})
    answered, headers, _ = get(node, "/api/spaces?take=1", Host="evil.test")
    assert (answered, headers["location"]) == (status, "https://octopus.corp.test/api/spaces?take=1")
    assert node.request("GET", "/api", headers={"X-Forwarded-Proto": "https"})[0] == status


def test_a_trusted_proxys_word_counts_as_https(start_node):
    node = start_node(web={"force_ssl": 303, "external_url": "https://o.test", "trusted_proxies": ("127.0.0.1",)})
    assert node.request("GET", "/api", headers={"X-Forwarded-Proto": "https"})[0] == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_413(start_node, chunked):
    node = start_node(web={"body_max": 2000})
    assert node.request("POST", RAW, *multipart(b"x" * 1000))[0] == 201
    body, headers = multipart(b"x" * 5000, "Acme.Web.2.0.0.zip")
    sent = iter([body]) if chunked else body
    status, _, answer = node.request("POST", RAW, sent, headers)
    assert (status, "2000 bytes" in json.loads(answer)["ErrorMessage"]) == (413, True)
    assert get(node, "/api/packages")[2]["TotalResults"] == 1


# Lists


def test_lists_page_as_go_octopusdeploy_reads_them(node):
    for version in range(5):
        assert node.request("POST", RAW, *multipart(b"x", f"Acme.Web.{version}.0.zip"))[0] == 201
    page = get(node, "/api/Spaces-1/packages?skip=2&take=2&nuGetPackageId=Acme.Web")[2]
    assert (page["TotalResults"], page["ItemsPerPage"], page["NumberOfPages"], page["LastPageNumber"]) == (5, 2, 3, 2)
    assert page["ItemType"] == "PackageFromBuiltInFeed"
    assert page["Links"]["Page.Next"] == "/api/Spaces-1/packages?skip=4&take=2&nuGetPackageId=Acme.Web"
    following = get(node, page["Links"]["Page.Next"])[2]
    assert (len(following["Items"]), "Page.Next" in following["Links"]) == (1, False)
    assert len(get(node, "/api/packages?take=0")[2]["Items"]) == 0


def test_a_link_to_another_page_never_repeats_the_key(node):
    page = get(node, f"/api/spaces?apikey={KEY}&take=1", X_Octopus_ApiKey="")
    assert (page[0], KEY in json.dumps(page[2])) == (200, False)


def test_spaces_are_found_by_name_part_and_id(start_node):
    node = start_node()
    shared = directory(node)
    shared.put(Space(id="Spaces-2", name="Web Shop", slug="web-shop"))
    shared.put(Feed(id="Feeds-1001", space="Spaces-2", name="Built-in", feed_type="BuiltIn"))
    for query, found in (
        ("partialName=shop", ["Web Shop"]), ("name=WEB%20SHOP", ["Web Shop"]), ("ids=Spaces-1", ["Default"]),
        ("partialName=nothing", []), ("skip=1&take=2147483647", ["Web Shop"]),
    ):  # fmt: skip
        assert [item["Name"] for item in get(node, f"/api/spaces?{query}")[2]["Items"]] == found
    space = get(node, "/api/spaces/web-shop")[2]
    assert (space["IsDefault"], space["Links"]["SpaceHome"]) == (False, "/api/Spaces-2")
    assert [item["IsDefault"] for item in get(node, "/api/users/Users-1/spaces")[2]] == [True, False]
    pushed = json.loads(node.request("POST", "/api/spaces/Web%20Shop/packages/raw", *multipart(b"x"))[2])
    assert pushed["FeedId"] == "Feeds-1001"
    versions = get(node, "/api/Spaces-2/feeds/Feeds-1001/packages/versions?packageId=acme.web&take=5")[2]
    assert [(item["Version"], item["FeedId"]) for item in versions["Items"]] == [("1.0.0", "Feeds-1001")]


def test_bulk_deletes_by_query_and_by_body_and_notes_say_what_is_missing(node):
    for name in ("A.1.0.zip", "B.1.0.zip"):
        assert node.request("POST", RAW, *multipart(b"x", name))[0] == 201
    notes = get(node, "/api/packages/notes?packageIds=packages-A.1.0,packages-Z.9.0")[2]["Packages"]
    assert [note["Notes"]["Succeeded"] for note in notes] == [True, False]
    assert node.request("DELETE", "/api/packages/bulk?ids=packages-A.1.0,packages-Z.9.0")[0] == 200
    status, _, body = node.request(
        "DELETE", "/api/Spaces-1/packages/bulk/v1", b'{"Ids": ["packages-B.1.0"], "SpaceId": "Spaces-1"}'
    )
    assert (status, body) == (200, b"{}")
    assert get(node, "/api/packages")[2]["TotalResults"] == 0
