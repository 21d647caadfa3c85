"""The nodes' timeline of one test, as text for the report of a failure; no I/O."""

from typing import Any, Final

from mocknode.pytest_plugin.requests import Request, requests_of

_LINES_MAX: Final = 200
"""A few screens; of a longer timeline the beginning and the end are shown."""


def timeline(records: list[dict[str, Any]], begun_ns: int) -> str:
    """Return one line for each request, change of state and fault, in order of time; equal pings in a row share a line.

    Args:
        begun_ns: Monotonic time at which the test began.
    """
    lines: list[tuple[int, str]] = [(r["t_ns"], _event(r)) for r in records if r["kind"] in ("state", "fault", "boot")]
    lines += _requests(requests_of(records), begun_ns)
    if not lines:
        return "the nodes saw nothing"
    text = [f"+{(t_ns - begun_ns) / 1e9:8.3f} s  {line}" for t_ns, line in sorted(lines)]
    if len(text) > _LINES_MAX:
        half = _LINES_MAX // 2
        text[half:-half] = [f"... {len(text) - _LINES_MAX} lines left out"]
    return "\n".join(text)


def _requests(requests: list[Request], begun_ns: int) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    rows: dict[str, tuple[Request, Request, int]] = {}

    def close(node: str) -> None:
        first, last, count = rows.pop(node)
        more = f"  {count} times until +{(last.t_ns - begun_ns) / 1e9:.3f} s" if count > 1 else ""
        lines.append((first.t_ns, _line(first) + more))

    for request in requests:
        row = rows.get(request.node)
        if row and _line(row[0]) == _line(request) and request.received == 0:
            rows[request.node] = (row[0], request, row[2] + 1)
            continue
        if row:
            close(request.node)
        rows[request.node] = (request, request, 1)
    for node in list(rows):
        close(node)
    return lines


def _line(request: Request) -> str:
    status = "no answer" if request.status is None else str(request.status)
    words = [f"{request.node:10} {request.method} {request.target}  {status}"]
    if request.received:
        words.append(f"{request.received} bytes of body")
    if request.file_name or request.sha1:
        words.append(f"{request.file_name or 'file'} (sha1 {request.sha1})")
    if request.end not in (None, "complete"):
        words.append(f"ended: {request.end}")
    if request.end is None:
        words.append("has not ended")
    if request.faults:
        words.append(f"faults {', '.join(map(str, request.faults))}")
    return ", ".join(words)


def _event(record: dict[str, Any]) -> str:
    if record["kind"] == "state":
        how = f" ({record['how']})" if record.get("how") else ""
        return f"{record['node']:10} is {record['state']}{how}"
    if record["kind"] == "boot":
        return f"{record['node']:10} starts, boot {record['boot']}"
    return f"{record['node']:10} fault {record['id']} {record['fault'].get('kind', '')} {record['phase']}"
