"""The fixtures file is strict, and says where it is wrong; nothing is started for one that is."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.mock.cluster.fixtures import ENTRIES_MAX, Fixtures, FixturesError, read_fixtures

HEAD = "mocknode-fixtures: 1\n"
PACKAGE = "{id: Acme.Web, version: 1.0.0, size: 1KiB"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fixtures") / "f.yaml"


def read(file, text):
    file.write_text(text)
    return read_fixtures(file, "API-CLUSTER")


def test_a_good_file(file):
    found = read(
        file,
        HEAD + "spaces: [{name: Web Shop}, {name: B, slug: b-2, description: second}]\n"
        "users: [{username: ci, service: true, permissions: [BuiltInFeedPush], api-keys: [API-CI, API-CI2]}]\n"
        "feeds: [{name: nuget.org, type: NuGet, space: web-shop}]\n"
        "packages:\n"
        f"  - {PACKAGE}}}\n"
        f"  - {PACKAGE}, space: WEB SHOP, seed: 7, extension: .tar.gz}}\n",
    )
    assert [space.its_slug for space in found.spaces] == ["web-shop", "b-2"]
    assert found.users[0].api_keys == ["API-CI", "API-CI2"]
    assert [(p.file_name, p.size, p.seed, p.space) for p in found.packages] == [
        ("Acme.Web.1.0.0.zip", 1024, 1, "Default"),
        ("Acme.Web.1.0.0.tar.gz", 1024, 7, "WEB SHOP"),
    ]
    assert (found.places["web shop"], found.places["default"]) == (0, -1)
    assert read(file, HEAD) == Fixtures(**{"mocknode-fixtures": 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is a mapping that begins with"),
        ("- 1\n", "is a mapping that begins with"),
        ("spaces: []\n", "line 1: mocknode-fixtures: required and not there"),
        ("mocknode-fixtures: 2\n", "line 1: mocknode-fixtures: got 2"),
        ("mocknode-fixtures: true\n", "line 1: mocknode-fixtures: got True"),
        ("mocknode-fixtures: [\n", "is not YAML"),
        (HEAD + "pakages: []\n", "line 2: unknown key 'pakages', allowed: mocknode-fixtures, spaces, .*; did you mean packages?"),
        (HEAD + "spaces: &a [{name: B}]\nfeeds: *a\n", r"line 3: got the alias \*a, allowed: the value itself"),
        (HEAD + "spaces: []\nspaces: []\n", "line 3: 'spaces' is given twice"),
        (HEAD + "spaces:\n  - name: A\n    slog: a\n", r"line 4: unknown key 'spaces.0.slog', allowed: name, slug, description"),
        (HEAD + "spaces:\n  - name: A\n    slug: A b\n", r"line 4: spaces.0.slug: got 'A b': allowed: lower-case letters"),
        (HEAD + "spaces:\n  - slug: a\n", r"line 3: spaces.0.name: required"),
        (HEAD + "spaces:\n\n  - name: default\n", r"line 4: spaces.0: 'default' is the default space already"),
        (HEAD + "spaces:\n  - name: A B\n  - name: a-b\n", r"line 4: spaces.1: 'a-b' is spaces.0 already"),
        (HEAD + "spaces:\n  - name: Spaces-2\n", "line 3: spaces.0: got 'Spaces-2', allowed: a name and a slug that are no id"),
        (HEAD + "spaces:\n  - name: '?'\n", "line 3: spaces.0: '\\?' makes no slug"),
        (HEAD + 'spaces:\n  - name: "a\\0"\n', "line 3: spaces.0.name: .*printable"),
        (HEAD + "users:\n  - username: Admin\n", "line 3: users.0.username: 'Admin' is the administrator already"),
        (HEAD + "users:\n  - username: 7\n", r"line 3: users.0.username: got 7: .* \(in quotes\)"),
        (HEAD + "users:\n  - {username: a}\n  - {username: A}\n", "line 4: users.1.username: 'A' is users.0 already"),
        (HEAD + "users:\n  - username: a\n    permissions: [Push]\n", "line 4: users.0.permissions.0: got 'Push': .*'BuiltInFeedPush'"),
        (HEAD + "users:\n  - username: a\n    api-keys: [api-x]\n", "line 4: users.0.api-keys.0: got 'api-x': allowed: API-"),
        (HEAD + "users:\n  - username: a\n    api-keys: [API-CLUSTER]\n", r"line 4: users.0.api-keys: 'API-CLUSTER' is the cluster's"),
        (HEAD + "users:\n  - {username: a, api-keys: [API-A, API-A]}\n", "line 3: users.0.api-keys: 'API-A' is users.0's already"),
        (HEAD + "users:\n  - {username: a, api_keys: [API-A]}\n", "line 3: unknown key 'users.0.api_keys'.*did you mean api-keys?"),
        (HEAD + "users:\n  - {username: a, service: true, password: b}\n", "line 3: users.0.password: a service account has none"),
        (HEAD + "feeds:\n  - {name: a, type: BuiltIn}\n", "line 3: feeds.0.type: got 'BuiltIn': allowed: a word such as"),
        (HEAD + "feeds:\n  - {name: a, type: NuGet}\n  - {name: A, type: Helm}\n", "line 4: feeds.1.name: 'A' is in this space already"),
        (HEAD + "feeds:\n  - name: a\n    type: NuGet\n    space: Web\n", "line 5: space: got 'Web', allowed: Default"),
        (HEAD + f"spaces: [{{name: Web}}]\npackages:\n  - {PACKAGE}, space: Wep}}\n", "line 4: space: got 'Wep', .*; did you mean Web?"),
        (HEAD + "packages:\n  - id: A\n    version: 1.10\n    size: 1\n", r"line 4: packages.0.version: got 1.1: .* \(in quotes\)"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.x, size: 200}\n", "line 3: packages.0: .*no package id and version"),
        (HEAD + "packages:\n  - {id: A.1, version: 1.0.0, size: 200}\n", "server reads 'A.1.1.0.0.zip' as package 'A', version '1.1.0.0'"),
        (HEAD + "packages:\n  - {id: ../A, version: 1.0.0, size: 200}\n", "line 3: packages.0: .*no package id and version"),
        (HEAD + "packages:\n  - " + PACKAGE + ", extension: .exe}\n", "line 3: packages.0.extension: got '.exe': allowed: .tar.gz"),
        (f"{HEAD}packages:\n  - {PACKAGE}}}\n  - {{id: acme.web, version: 1.0.0, size: 999, extension: .jar}}\n", "line 4: .*in this space already"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.0, size: 135}\n", "line 3: packages.0.size: got 135, allowed for .zip: 136 bytes or more"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.0, size: 0}\n", "line 3: packages.0.size: got 0"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.0, size: 5 stone}\n", "line 3: packages.0.size: got '5 stone': .*KiB"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.0, size: 1025MiB}\n", "line 3: packages.0.size: .*1073741824"),
        (HEAD + "packages:\n" + "".join(f"  - {{id: A, version: '{n}', size: 1GiB}}\n" for n in range(5)), "line 2: packages: got 5 GiB .*: 4 GiB"),
        (HEAD + "packages:\n  - {id: A, version: 1.0.0, size: 200, seed: -1}\n", "line 3: packages.0.seed: got -1"),
        (HEAD + "packages: [" + "{}," * (ENTRIES_MAX + 1) + "]\n", "line 2: packages: .*at most 10000"),
        (HEAD + "spaces: " + "[" * 1500 + "]" * 1500 + "\n", "is not YAML"),
        (HEAD + "spaces: &a [*a]\n", r"line 2: got the alias \*a"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say(file, text, message):
    with pytest.raises(FixturesError, match=message) as caught:
        read(file, text)
    assert str(caught.value).startswith(f"--fixtures {file}")


def test_several_faults_are_told_at_once_and_thousands_are_not(file):
    with pytest.raises(FixturesError, match=r"line 2: unknown key 'x'.*; line 3: feeds.0.type: required"):
        read(file, HEAD + "x: 1\nfeeds: [{name: a}]\n")
    with pytest.raises(FixturesError, match=r"and 90 more$"):
        read(file, HEAD + "spaces: [" + "1," * 100 + "]\n")


words = st.text("ab.-_ 019", max_size=6)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(words, inside, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["name", "slug", "username", "password", "service", "api-keys", "type", "space", "id", "version", "extension", "size"]
)  # fmt: skip
entries = st.lists(st.dictionaries(fields, words | anything, max_size=5) | anything, max_size=4)


@given(
    st.dictionaries(st.sampled_from(["spaces", "users", "feeds", "packages", "more"]), entries | anything, max_size=4)
)
@settings(max_examples=150, deadline=None)
def test_whatever_is_in_the_file_it_is_read_or_refused(file, content):
    text = json.dumps({"mocknode-fixtures": 1, **content})
    try:
        found = read(file, text)
    except FixturesError as exc:
        refusal = str(exc)
        assert ", line " in refusal or "is not YAML" in refusal
    else:
        assert all(package.space.lower() in found.places for package in found.packages)


names = st.from_regex(r"[A-Z][a-z]{1,5}", fullmatch=True)


@given(
    spaces=st.lists(names.filter(lambda name: name != "Default"), unique_by=str.lower, max_size=4),
    packages=st.lists(
        st.tuples(names, st.integers(0, 99), st.integers(136, 10**6), st.integers(0, 2**63 - 1)),
        unique_by=lambda one: (one[0].lower(), one[1]), max_size=6,
    ),
    data=st.data(),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_what_fits_is_read_as_it_was_meant(file, spaces, packages, data):
    places = [data.draw(st.sampled_from(["Default", *spaces])) for _ in packages]
    document = {
        "mocknode-fixtures": 1,
        "spaces": [{"name": name} for name in spaces],
        "packages": [
            {"id": id_, "version": f"1.0.{patch}", "size": size, "seed": seed, "space": place}
            for (id_, patch, size, seed), place in zip(packages, places, strict=True)
        ],
    }
    found = read(file, yaml.safe_dump(document))
    assert [space.name for space in found.spaces] == spaces
    assert [(p.id, p.version, p.size, p.seed, p.space) for p in found.packages] == [
        (id_, f"1.0.{patch}", size, seed, place)
        for (id_, patch, size, seed), place in zip(packages, places, strict=True)
    ]
