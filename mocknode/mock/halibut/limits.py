"""How much a peer may send before it is cut off, and why that much.

The real implementation has none of these limits; a mock that stands in for a server in somebody's test needs them, so
that a broken peer costs a bounded amount of memory and is named.
"""

from typing import Final

PREAMBLE_MAX: Final = 20_000
"""Bytes of a preamble. The one limit that the real acceptor has: it stops reading there."""

CONTROL_LINE_MAX: Final = 20_000
"""Bytes of a control line. The longest real one is an identity of about 60; the preamble's limit holds here too."""

DOCUMENT_MAX: Final = 16 * 1024 * 1024
"""Bytes of a message's BSON. Scripts and their logs are kilobytes, files travel as data streams; 16 MiB is also what
other users of BSON allow, and DEFLATE makes it of 16 KiB."""

DEFLATED_MAX: Final = 2 * DOCUMENT_MAX
"""Bytes of a message's DEFLATE stream. A compressor makes nothing longer by more than a thousandth, but a stream of empty blocks
never ends and gives nothing that another limit could count."""

ELEMENTS_MAX: Final = 100_000
"""Elements of a message's BSON, nested ones included: 25,000 lines of a script's log. Sixteen MiB hold millions of empty ones, which
become 600 MiB and seconds of everybody's time when they are decoded."""

STREAMS_MAX: Final = 1024
"""Data streams of one message. Real callers send one a file; 128 in one message is what real tests go to."""

UNREAD_MAX: Final = 64 * 1024
"""Bytes that a peer may send while it is not its turn. A real peer sends at most one control line ahead."""
