"""The table that `mocknode tentacles` prints, and what its columns mean."""

from typing import Final

from mocknode.cli.tables import render
from mocknode.mock.tentacle.fleet import AddressRow, FleetReport
from mocknode.mock.tentacle.fleet_session import trouble

COLUMNS: Final = {
    "address": "an address that every Tentacle polls",
    "connected": "Tentacles that are connected at the end, out of all",
    "polled": "Tentacles that got a message there at least once",
    "on time": "Tentacles among these that never waited longer than --interval plus a tenth for a message",
    "cut": "connections that ended, or that were given up after 60 s without a message, and how long they had been silent; the same "
    "figure every time is the idle timeout of something on the way",
    "reconnects": "connections that came up again after being cut",
    "failed reconnects": "attempts to reconnect that failed",
    "failed attempts": "all attempts that failed, the first ones included: refused (nothing listens), rejected (closed after the "
    "preamble: not trusted), broken off (closed or silent before the server identified itself), mismatches (not the server's "
    "certificate)",
    "longest silence": "longest wait for a message on an open connection, whether one came or it was cut",
    "slowest return": "longest time from a cut until the connection was up again",
}
"""Columns of the table, and what they mean."""
_FAILED_ATTEMPTS: Final = {
    "refused": "refused",
    "rejected": "rejected",
    "broken": "broken off",
    "mismatches": "mismatches",
}
"""Fields of a row, and their names in the table."""


def fleet_table(report: FleetReport) -> str:
    """One line for each address, and what a Tentacle costs."""
    rows = [
        [
            row.address, f"{row.connected}/{report.tentacles}", str(row.polled), str(row.on_time), _cut(row), str(row.reconnects),
            str(row.failed_reconnects), _failed_attempts(row), f"{row.longest_silence_s:.1f} s", f"{row.slowest_return_s:.1f} s",
        ]
        for row in report.rows
    ]  # fmt: skip
    each = report.document()["per_tentacle"]
    rss = "unknown" if each["rss_bytes"] is None else f"{each['rss_bytes'] / 1024:.0f} KiB resident"
    troubles = "".join(f"{row.address}{trouble(row)}\n" for row in report.rows if row.trouble)
    return (
        render(list(COLUMNS), rows)
        + troubles
        + f"{report.tentacles} Tentacles in {report.seconds:.1f} s, {_connected(report)}; each in this process: {rss}, "
        f"{each['descriptors']} descriptors, {each['wire_bytes']} bytes on the wire\n"
        "`mocknode tentacles --help` explains the columns.\n"
    )


def _connected(report: FleetReport) -> str:
    if report.all_connected_s is None:
        return "never all connected"
    first = f"after {report.all_connected_s:.1f} s"
    return (
        f"all connected {first}" if report.all_connected else f"not all connected at the end, though all were {first}"
    )


def _cut(row: AddressRow) -> str:
    if row.shortest_cut_silence_s is None or row.longest_cut_silence_s is None:
        return "0"
    shortest, longest = f"{row.shortest_cut_silence_s:.1f}", f"{row.longest_cut_silence_s:.1f}"
    return f"{row.cut} after {longest if shortest == longest else f'{shortest} to {longest}'} s of silence"


def _failed_attempts(row: AddressRow) -> str:
    counts = {words: getattr(row, name) for name, words in _FAILED_ATTEMPTS.items()}
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count) or "0"
