import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocknode.mock.node.packages.names import FileNameError, PackageName, bare_name, parse_file_name


@pytest.mark.verified
@pytest.mark.parametrize(
    ("file_name", "package_id", "version", "extension"),
    [
        # The examples of go-octopusdeploy's package_service_test.go, quirks included.
        ("Octopus.Tentacle.6.3.417-x64.zip", "Octopus.Tentacle", "6.3.417-x64", ".zip"),
        ("powershell-linux-alpine-x64.7.2.10.tar.bz2", "powershell-linux-alpine-x64", "7.2.10", ".tar.bz2"),
        ("pterm-0.12.42.zip", "pterm-0", "12.42", ".zip"),
        ("X.6.3.417-x64.msi.zip", "X", "6.3.417-x64.msi", ".zip"),
        ("Acme.Web.1.0.0.NUPKG", "Acme.Web", "1.0.0", ".NUPKG"),
        ("Acme.Web.1.0.0.tar.gz", "Acme.Web", "1.0.0", ".tar.gz"),
        ("Acme_Web.1.0.0-beta.1+build.7.jar", "Acme_Web", "1.0.0-beta.1+build.7", ".jar"),
        ("a.1.tgz", "a", "1", ".tgz"),
    ],
)
def test_names_are_read_as_the_server_does(file_name, package_id, version, extension):
    assert parse_file_name(file_name) == PackageName(package_id, version, extension)


@pytest.mark.parametrize(
    "file_name",
    ["SqlServer2000.zip", "Octopus.Tentacle.zip", "Octopus.Tentacle-77.zip", ".1.0.zip", "a b.1.0.zip", ".zip"],
)
def test_a_name_without_id_and_version_is_refused(file_name):
    with pytest.raises(FileNameError, match="has no package id and version"):
        parse_file_name(file_name)


def test_an_unknown_format_is_refused_with_those_that_are_known():
    with pytest.raises(FileNameError, match=r"got 'a\.1\.0\.exe', allowed: \.tar\.gz"):
        parse_file_name("a.1.0.exe")


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(FileNameError, match="Package Name is too long: 304 characters, allowed: 255"):
        parse_file_name("a" * 294 + ".1.0.0.zip")


@pytest.mark.parametrize("path", ["C:\\dir\\Acme.1.0.zip", "/tmp/Acme.1.0.zip", "dir/Acme.1.0.zip", "Acme.1.0.zip"])
def test_directories_are_stripped(path):
    assert bare_name(path) == "Acme.1.0.zip"


def test_a_hostile_name_is_refused_quickly():
    started = time.perf_counter()
    with pytest.raises(FileNameError):
        parse_file_name("_" * 120 + "." + "a_" * 60 + "!.zip")
    assert time.perf_counter() - started < 10  # a pattern that backtracks takes for ever


ID = st.from_regex(r"[A-Za-z]\w{0,8}([-][A-Za-z]\w{0,8}){0,2}", fullmatch=True)
VERSION = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-[0-9A-Za-z]{1,8})?", fullmatch=True)


@given(package_id=ID, version=VERSION, extension=st.sampled_from([".zip", ".nupkg", ".tar.gz", ".jar"]))
def test_id_and_version_come_back(package_id, version, extension):
    assert parse_file_name(f"{package_id}.{version}{extension}") == PackageName(package_id, version, extension)
