"""Limits on what a peer may send before it is cut off, each with its reason.

The real implementation has none of these limits. A mock that stands in for a server in a test needs them, so that a broken peer
costs a bounded amount of memory and gets a clear error.
"""

from typing import Final

PREAMBLE_MAX: Final = 20_000
"""Bytes of a preamble; the only limit that the real acceptor has."""

CONTROL_LINE_MAX: Final = 20_000
"""Bytes of a control line. The longest real one is an identity of about 60 bytes; the preamble's limit is used here too."""

DOCUMENT_MAX: Final = 16 * 1024 * 1024
"""Bytes of a message's BSON. Scripts and their logs are kilobytes, and files travel as data streams. Other users of BSON allow
16 MiB too. DEFLATE can expand 16 KiB to this size."""

DEFLATED_MAX: Final = 2 * DOCUMENT_MAX
"""Bytes of a message's DEFLATE stream. Compression lengthens data by a thousandth at most, but a stream of empty blocks never
ends and yields no output that another limit could count."""

ELEMENTS_MAX: Final = 100_000
"""Elements of a message's BSON, nested ones included: enough for 25,000 lines of a script's log. Sixteen MiB can hold millions of
empty elements, which take 600 MiB and several seconds to decode."""

STREAMS_MAX: Final = 1024
"""Data streams of one message. Real callers send one for each file; Halibut's own tests go up to 128."""

UNREAD_MAX: Final = 64 * 1024
"""Bytes that a peer may send ahead of its turn. A real peer sends at most one control line ahead."""
