"""Packages made from a seed: the same bytes everywhere, as long as they shall be, and archives that open."""

import hashlib
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocknode.mock.cluster.fixture_content import ZIP_BYTES, ZIPPED, write_content


@pytest.mark.parametrize(
    ("extension", "size", "seed", "sha1"),
    [
        (".tar.gz", 100, 1, "4776b16b6704e9a4ed2928cc51003ba8f08d25b1"),
        (".tar.gz", 3 << 20, 1, "1e5d24e9c7b1bd76d483fea913614f75ee05bf38"),
        (".zip", 64 << 10, 1, "5c6e04e3fd9f4b321b4ea24771146d7907c35c8d"),
        (".nupkg", 64 << 10, 2, "6d583444f1103afbdb32f6374c29f935a01d212c"),
        (".ZIP", ZIP_BYTES, 3, "b3cb103dde6c001e549c2eb0066b14c0fd3ac016"),
    ],
)
def test_the_bytes_never_change(extension, size, seed, sha1):
    """Suites of others have these digests written down."""
    assert write_content(None, extension=extension, size=size, seed=seed) == sha1


@given(
    extension=st.sampled_from([".tar.gz", *ZIPPED]),
    size=st.integers(ZIP_BYTES, 5000) | st.integers((1 << 20) - 2, (1 << 20) + ZIP_BYTES + 2),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=30, deadline=None)
def test_a_file_has_the_size_and_the_digest_and_opens(extension, size, seed):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "folder", "package")
        sha1 = write_content(path, extension=extension, size=size, seed=seed)
        data = path.read_bytes()
        assert (len(data), hashlib.sha1(data).hexdigest()) == (size, sha1)
        assert write_content(None, extension=extension, size=size, seed=seed) == sha1
        if extension in ZIPPED:
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
                assert archive.namelist() == ["content.bin"]
        with pytest.raises(FileExistsError):
            write_content(path, extension=extension, size=size, seed=seed)
        assert path.read_bytes() == data


def test_seeds_differ():
    digests = {write_content(None, extension=".tar", size=1000, seed=seed) for seed in range(50)}
    assert len(digests) == 50
