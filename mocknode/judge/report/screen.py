"""Makes the first screen as data: the verdict, whom the faults hurt, the next command. Terminal, HTML and Markdown show the same.

A failure that follows from another is listed under its root, so that one wrong probe line is one finding.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mocknode.judge.record.ledger import CLASSES, LedgerCounts
from mocknode.judge.report.schema import Report, ReportedCheck, ReportedFix
from mocknode.judge.report.wording import RESULTS, WORST_FIRST, counted, product, seconds
from mocknode.judge.verdict.calibration import CalibrationFacts
from mocknode.text.foreign import plain
from mocknode.text.units import format_duration

GROUPS: Final[Mapping[str, str]] = {
    "HC": "health",
    "DR": "drain",
    "UP": "upload",
    "RT": "retry",
    "TL": "polling",
    "PR": "protocol",
    "RG": "region",
    "OP": "reload",
}
# The first screen must fit on one screen: it names all faults, and this many other findings. Grid and counts include all of them.
MINOR_FINDINGS_MAX: Final = 10
FATAL: Final = ("fail", "unknown")
# A command that repeats some checks drops these options, so that it does not overwrite the report of all checks.
_REPLACED: Final = ("--only", "--profile", "--run-dir", "--json", "--html", "--junit", "--markdown")
_SILENT: Final = ("pass", "skip", "accepted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Checks whose ids have the same prefix; `cells` are their numbers and outcomes."""

    prefix: str
    title: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check that found something: whom it hurts, the line that fixes it, and the checks that fail because of it."""

    id: str
    outcome: str
    text: str
    hurts: str | None
    fix: str | None
    consequences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """All texts of the first screen."""

    verdict: str
    result: str
    counts: tuple[str, ...]
    duration: str
    target: str
    product: str
    seed: str
    probes: str
    reaction: str
    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]
    more: tuple[str, ...]
    ledger: str
    aside: str
    run_dir: str
    notes: tuple[str, ...]
    faults: tuple[str, ...]
    rerun: str | None


def screen(document: Report) -> Screen:
    """Return the first screen of a report."""
    checks = document["checks"]
    findings = _findings(checks)
    minor = [finding for finding in findings if finding.outcome not in FATAL]
    shown = [f for f in findings if f.outcome in FATAL] + minor[:MINOR_FINDINGS_MAX]
    faults = tuple(check["id"] for check in checks if check["outcome"] in FATAL)
    tally = Counter[str](check["outcome"] for check in checks)
    # Polling checks upload nothing.
    polling = checks and all(check["profile"] == "polling" for check in checks)
    finished = bool(checks) and not document["unfinished"]
    ledger, aside = ("", "") if polling else _ledger(document["ledger"])
    quick = ", quick" if document["tier"] == "quick" else ""
    return Screen(
        verdict=_verdict(document),
        result=document["result"],
        counts=tuple(counted(tally[outcome], outcome) for outcome in WORST_FIRST if tally[outcome]),
        duration=format_duration(document["duration_s"]),
        target=plain(f"{document['balancer']['url']} -> {' '.join(document['nodes'])}"),
        product=product(document["balancer"]),
        seed=f"seed {document['seed']}{quick}",
        probes=_probes(document["calibration"], finished=finished),
        reaction=_reaction(document["calibration"], finished=finished),
        groups=_groups(checks),
        findings=tuple(shown),
        more=tuple(finding.id for finding in minor[MINOR_FINDINGS_MAX:]),
        ledger=ledger,
        aside=aside,
        run_dir=plain(document["run_dir"]),
        notes=tuple(plain(note) for note in [*document["notes"], *_noted(checks), *_unnamed(document)]),
        faults=faults,
        rerun=only(document["reproduce"], faults) if faults else None,
    )


def only(command: str, ids: Sequence[str]) -> str:
    """Return the command line for these checks only, without the files that it would overwrite."""
    kept: list[str] = []
    skip = False
    for word in shlex.split(command):
        name, given, _ = word.partition("=")
        if not skip and name not in _REPLACED:
            kept.append(word)
        skip = not skip and name in _REPLACED and not given
    return plain(shlex.join([*kept, "--only", ",".join(ids)]))


def diff(snippet: str) -> list[tuple[str, str]]:
    """Return kind (`added`, `removed`, `kept`) and text of each line of a fix.

    The first character is a sign only if some line begins with `+`, or all lines with `-`: YAML lists begin with `-` too.
    """
    lines = snippet.rstrip().splitlines()
    signed = any(line.startswith("+") for line in lines) or all(line.startswith("-") for line in lines)
    kinds = {"+": "added", "-": "removed"} if signed else {}
    return [(kinds.get(line[:1], "kept"), line) for line in lines]


def fix_line(fixes: Sequence[ReportedFix]) -> str | None:
    """Return the most telling line of the first fix, and how many lines follow it.

    That is the first line that the fix adds, or else the first that is no comment.
    """
    if not fixes:
        return None
    lines = diff(fixes[0]["snippet"])
    if _only_shortens(lines):
        lines = [(kind, text) for kind, text in lines if kind != "added"]
    kind = next((kind for kind in ("added", "removed") if kind in dict(lines)), "kept")
    texts = [text if kind == "kept" else text[1:] for found, text in lines if found == kind]
    telling = [text for text in texts if text.strip() and not text.lstrip().startswith(("#", "//"))]
    if not telling:
        return None
    first = telling[0].strip()
    if len(telling) == 1:
        return plain(f"remove {first}" if kind == "removed" else first)
    if kind == "added" and _indent(telling[1]) > _indent(telling[0]):
        # The first line of a block says little without the section that it belongs to.
        first = f"{fixes[0]['file'].rpartition(', ')[2]}: {first}"
    more = f"(+{len(telling) - 1} line{'s'[: len(telling) > 2]})"
    return plain(f"{'remove ' if kind == 'removed' else ''}{first} {more}")


def _only_shortens(lines: Sequence[tuple[str, str]]) -> bool:
    """Return whether added lines only shorten removed ones, and other lines are removed completely: these are the fix."""
    added = [text[1:].strip() for kind, text in lines if kind == "added"]
    removed = [text[1:].strip() for kind, text in lines if kind == "removed"]
    whole = [text for text in removed if not any(text.startswith(stays) for stays in added)]
    return bool(added and whole) and all(any(text.startswith(stays) for text in removed) for stays in added)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _verdict(document: Report) -> str:
    verdict = RESULTS[document["result"]]
    done = len(document["checks"])
    if document["unfinished"]:
        return f"{verdict} SO FAR ({done} of {done + len(document['unfinished'])} checks)"
    if left_out := document.get("left_out", []):
        return f"{verdict} ({done} of {done + len(left_out)} checks judged)"
    return verdict


def _groups(checks: Sequence[ReportedCheck]) -> tuple[Group, ...]:
    prefixes = {check["id"].partition("-")[0] for check in checks}
    ordered = [*(p for p in GROUPS if p in prefixes), *sorted(prefixes - set(GROUPS))]
    return tuple(
        Group(
            prefix=prefix,
            title=GROUPS.get(prefix, ""),
            cells=tuple(
                sorted((c["id"].partition("-")[2], c["outcome"]) for c in checks if c["id"].startswith(prefix + "-"))
            ),
        )
        for prefix in ordered
    )


def _findings(checks: Sequence[ReportedCheck]) -> list[Finding]:
    """Return the findings, worst first; one whose root is also a finding is listed under its root only."""
    noisy = {check["id"]: check for check in checks if check["outcome"] not in _SILENT}
    roots = {id_: _root(id_, noisy) for id_ in noisy}
    return [
        Finding(
            id=id_,
            outcome=check["outcome"],
            text=plain(check["summary"]) + _elsewhere(check, noisy),
            hurts=plain(check["hurts"]) if check["outcome"] == "fail" and check["hurts"] else None,
            fix=fix_line(check["fixes"]),
            consequences=tuple(sorted(other for other, root in roots.items() if root == id_ != other)),
        )
        for id_, check in sorted(noisy.items(), key=lambda item: (WORST_FIRST.index(item[1]["outcome"]), item[0]))
        if roots[id_] == id_
    ]


def _root(id_: str, noisy: Mapping[str, ReportedCheck]) -> str:
    seen = {id_}
    while (above := noisy[id_]["caused_by"]) is not None and above in noisy:
        if above in seen:
            # Checks that name each other have no root. The first by id stands for all of them, so that none is lost.
            return min(seen)
        id_ = above
        seen.add(id_)
    return id_


def _elsewhere(check: ReportedCheck, noisy: Mapping[str, ReportedCheck]) -> str:
    root = check["caused_by"]
    return f" (because of {plain(root)})" if root and root not in noisy else ""


def _noted(checks: Sequence[ReportedCheck]) -> list[str]:
    """Return what variants that pass leave for the reader to do: their evidence `note`, each once."""
    notes = (
        f"{check['id']}: {v['evidence']['note']}"
        for check in checks
        for v in check["variants"]
        if "note" in v["evidence"]
    )
    return list(dict.fromkeys(notes))


def _unnamed(document: Report) -> list[str]:
    """Return a note on how to get lines to paste, if there are fixes and the kind of balancer is not known."""
    if document["balancer"]["kind"] is not None or not any(check["fixes"] for check in document["checks"]):
        return []
    return [
        "the kind of balancer could not be detected, so the fixes are in words; to get lines to paste, name it with "
        "--balancer-file FILE and `kind: haproxy` (or nginx, envoy, traefik, f5, aws-nlb, ...) in that file"
    ]


def _probes(calibration: CalibrationFacts | None, *, finished: bool) -> str:
    if calibration is None:
        return "probes: not measured, as no check of this run needed it" if finished else "probes: not known yet"
    present = [p for p in calibration["probers"] if p["role"] != "gone"]
    ours = [p for p in present if p["role"] == "balancer"] or present
    if not ours:
        return "probes: none seen"
    kinds = sorted({f"{p['method']} HTTP/{p['http_version']}" for p in ours})
    spacing = sorted({p["interval_s"] for p in ours if p["interval_s"] is not None})
    every = f" every {' to '.join(seconds(s) for s in dict.fromkeys((spacing[0], spacing[-1])))}" if spacing else ""
    return plain(f"probes: {len(ours)} prober{'s'[: len(ours) > 1]}, {', '.join(kinds)}{every}")


def _reaction(calibration: CalibrationFacts | None, *, finished: bool) -> str:
    if calibration is None:
        return ""
    out, back = calibration["out_after_s"], calibration["in_after_s"]
    if out is None:
        return "a drained node was not seen to leave" if finished else "no drained node has left yet"
    returns = "was not seen to return" if back is None else f"returns after {seconds(back)}"
    return f"a drained node leaves after {seconds(out)}, {returns}"


def _ledger(ledger: LedgerCounts) -> tuple[str, str]:
    """Return a text such as `412 attempts = 408 delivered once + 4 refused`, and the counts of the worst classes, zeros included."""
    parts = [f"{ledger[name]} {name.replace('_', ' ')}" for name in CLASSES if ledger[name]]
    if not ledger["attempts"]:
        return "none sent", ""
    aside = f"{ledger['lost']} lost, {ledger['delivered_twice']} doubled, {ledger['corrupted']} corrupt"
    provoked = f"; faults acted on {ledger['provoked']}" if ledger["provoked"] else ""
    attempts = f"{ledger['attempts']} attempt{'s'[: ledger['attempts'] != 1]}"
    return f"{attempts} = {' + '.join(parts)}", f"({aside}{provoked})"
