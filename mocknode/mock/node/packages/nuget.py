"""Whether bytes are a NuGet package: a whole ZIP archive with one manifest beside its folders.

Only its first bytes and its end are looked at, where a ZIP archive has the list of its files (APPNOTE.TXT of PKWARE, 4.3). The rule
for manifests is that of NuGet's own reader (`PackageReaderBase`), which takes exactly one `.nuspec` at the root.
"""

import io
import struct
import zipfile
from typing import Final

_END: Final = b"PK\x05\x06"
# The first bytes of an archive with files, and of an empty one.
_STARTS: Final = (b"PK\x03\x04", _END)
# What `zipfile` raises for a list of files that is none.
_NO_LIST: Final = (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error)


def archive_flaw(start: bytes, end: bytes) -> str | None:
    """Return what is wrong with an archive, None for nothing.

    Args:
        start: Its first four bytes.
        end: Its last bytes, at least 64 KiB if it has so many. A longer list of files, of about a thousand, is not read.
    """
    at = end.rfind(_END)
    comment = end[at + len(_END) + 16 :]
    whole = at >= 0 and len(comment) >= 2 and int.from_bytes(comment[:2], "little") == len(comment) - 2
    if not whole or start not in _STARTS:
        return "it is no whole ZIP archive"
    if int.from_bytes(end[at + 12 : at + 16], "little") > at:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(end)) as archive:
            names = archive.namelist()
    except _NO_LIST:
        return "the list of its files cannot be read"
    manifests = sum("/" not in name and name.lower().endswith(".nuspec") for name in names)
    return None if manifests == 1 else f"it has {manifests} manifests (.nuspec) beside its folders, allowed: one"
