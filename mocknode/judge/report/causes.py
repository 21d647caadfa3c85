"""Which causes a check can name, so that its catalogue entry shows the fixes without a report."""

from collections.abc import Mapping
from typing import Final

CAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "HC-01": ("no-active-probe", "probe-wrong-path", "probe-method-blind", "probe-tcp-only"),
    "HC-02": ("accepts-redirect", "accepts-other-2xx", "accepts-4xx", "accepts-5xx", "drained-node-stays"),
    "HC-03": ("hung-probe-stays", "serial-probing"),
    "HC-06": ("slow-probes-while-idle", "traffic-before-first-verdict"),
    "DR-01": ("drain-cuts-upload", "drained-node-gets-requests", "upload-redelivered"),
    "DR-02": ("kept-alive-pinned", "kept-alive-closed"),
    "DR-04": ("panic-mode", "survivor-errors"),
    "DR-05": ("all-drained-no-answer", "all-drained-no-recovery", "all-drained-policy-differs"),
    "UP-01": ("body-size-limit",),
    "UP-02": ("request-buffering",),
    "UP-03": ("upload-total-limit", "upload-idle-limit"),
    "UP-04": ("response-timeout",),
    "UP-08": ("chunked-not-forwarded", "truncated-body-completed"),
    "RT-01": ("post-replayed", "truncated-answer-completed", "answer-rewritten"),
    "TL-01": (
        "no-passage",
        "server-certificate-replaced",
        "tls-terminated",
        "proxy-header-added",
        "client-certificate-missing",
        "client-certificate-replaced",
        "client-hello-changed",
    ),
    "TL-02": (
        "address-leads-elsewhere",
        "address-not-forwarded",
        "client-hello-refused",
        "fails-over-to-another-node",
    ),
    "TL-03": ("drain-cuts-polling", "drained-node-refuses-polling"),
    "TL-04": ("polling-idle-limit", "polling-lifetime-limit"),
    "TL-05": ("half-close-cut",),
    "TL-06": ("connection-limit", "reconnects-refused"),
    "PR-01": (
        "forwarded-proto-missing",
        "original-host-missing",
        "forwarded-for-missing",
        "spoofed-forwarded-passed",
    ),
    "PR-05": ("node-starved", "node-overloaded", "random-balancing"),
    "RG-01": (
        "standby-gets-traffic",
        "standby-not-used",
        "failover-cuts-upload",
        "failback-not-as-declared",
        "tentacles-not-repointed",
        "tentacles-at-standby",
    ),
}
