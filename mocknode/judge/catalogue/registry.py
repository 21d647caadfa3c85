"""The catalogue: one file for each check, named after its id. A new check is added here and nowhere else."""

from collections.abc import Mapping
from typing import Final

from mocknode.judge.catalogue import (
    dr_01,
    dr_02,
    dr_04,
    dr_05,
    hc_01,
    hc_02,
    hc_03,
    hc_06,
    pr_01,
    pr_05,
    rg_01,
    rt_01,
    tl_01,
    tl_02,
    tl_03,
    tl_04,
    tl_05,
    tl_06,
    up_01,
    up_02,
    up_03,
    up_04,
    up_08,
)
from mocknode.judge.catalogue.check import Check
from mocknode.judge.verdict.cause import Cause

CHECKS: Final[Mapping[str, Check]] = {
    module.CHECK.id: module.CHECK
    for module in (
        hc_01, hc_02, hc_03, hc_06, dr_01, dr_02, dr_04, dr_05, up_01, up_02, up_03, up_04, up_08, rt_01,
        tl_01, tl_02, tl_03, tl_04, tl_05, tl_06, pr_01, pr_05, rg_01,
    )
}  # fmt: skip
"""Every check by id, in the order in which reports show them."""

CAUSES: Final[Mapping[str, Cause]] = {cause.slug: cause for check in CHECKS.values() for cause in check.causes}
"""Every cause by its slug, in the order of the checks that declare them."""


def cause_of(slug: str) -> Cause:
    """Return the cause that a verdict names.

    Raises:
        ValueError: when no check declares it.
    """
    if slug not in CAUSES:
        raise ValueError(f"no check declares the cause {slug!r}; declared are {', '.join(CAUSES)}")
    return CAUSES[slug]
