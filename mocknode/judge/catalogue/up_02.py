"""UP-02 request-streaming: the client pauses after 256 KiB. Does a node receive them during the pause?"""

from typing import TYPE_CHECKING, Any, Final

from mocknode.judge.catalogue.check import Check
from mocknode.judge.traffic import Pause
from mocknode.judge.verdict.case import Case, seconds
from mocknode.judge.verdict.cause import Advice, Cause
from mocknode.judge.verdict.outcome import Variant

if TYPE_CHECKING:
    from mocknode.judge.lab.lab import Lab

ID: Final = "UP-02"
BEFORE_PAUSE_BYTES: Final = 256 * 1024
# Below 1 MB, so that nginx' default limit (UP-01) does not answer first.
UPLOAD_BYTES: Final = 600 * 1024
PAUSE_S: Final = 3.0
SEEN_WITHIN_S: Final = 1.0


async def run(lab: "Lab") -> None:
    """Send one upload with a pause."""
    pauses = (Pause(at=BEFORE_PAUSE_BYTES, seconds=PAUSE_S),)
    attempt = await lab.upload(ID, "pause", UPLOAD_BYTES, pauses=pauses, timeout_s=30.0)
    await lab.until(lambda h: any(r.ended_ns for r in h.at_nodes(attempt.id)), 5.0)


def judge(case: Case) -> list[Variant]:
    """The first body byte reaches a node within a second."""
    attempt = next(iter(case.history.attempts_of(ID, "pause")), None)
    if attempt is None:
        return []
    seen = case.history.at_nodes(attempt.id)
    paused_ns = attempt.marks.get("pause")
    first_ns = next((r.first_body_ns for r in seen if r.first_body_ns is not None), None)
    evidence: dict[str, Any] = {"attempt": attempt.id, "status": attempt.status, "pause_s": PAUSE_S}
    if paused_ns is None or first_ns is None or attempt.head_sent_ns is None:
        return [
            case.unknown("pause", "extended", f"the upload ended early ({attempt.status or attempt.end})", **evidence)
        ]
    delay_s = (first_ns - attempt.head_sent_ns) / 1e9
    evidence["node_saw_first_byte_after_s"] = seconds(first_ns - attempt.head_sent_ns)
    if delay_s < SEEN_WITHIN_S:
        return [case.holds("pause", "extended", "body bytes reach the node as they are sent", **evidence)]
    summary = (
        f"the balancer stores the whole upload before a node sees its first byte ({delay_s:.1f} s after the client sent it, "
        "during a pause of 3 s)"
    )
    hurts = "nobody by itself: slow clients do not occupy a node, but uploads use the balancer's disk and take twice the time"
    return [case.breaks("pause", "extended", summary, cause="request-buffering", hurts=hurts, **evidence)]


CHECK = Check(
    id=ID,
    name="request-streaming",
    profile="upload",
    claim="The bytes of an upload reach a node while the client is still sending.",
    offenders=(
        "nginx and ingress-nginx; Application Gateway, Cloudflare",
        "Traefik with `buffering`; HAProxy with `http-buffer-request`",
    ),
    quick="a pause of 3 s after 256 KiB",
    full="the same",
    causes=(
        Cause(
            "request-buffering",
            Advice(
                do="Stream request bodies to the node instead of storing them first.",
                costs="A slow client holds a connection to the node for as long as it uploads.",
            ),
        ),
    ),
    lane="light",
    judge=judge,
    run=run,
)
