"""Which checks a run makes: those that the user names, within the profiles that the balancer under test offers."""

import difflib
from collections.abc import Sequence
from typing import Final

from mocknode.judge import balancers
from mocknode.judge.catalogue.check import Check
from mocknode.judge.catalogue.registry import CHECKS
from mocknode.judge.lab.balancer_file import BalancerFile
from mocknode.judge.lab.lanes import POLLING, REGION
from mocknode.judge.lab.target import OptionError, TargetOptions, passes_tentacles, read, tentacle_places

PROFILES: Final = ("web", "upload", POLLING)
"""Profiles that are judged together; `region` is judged alone."""


def offered_profiles(options: TargetOptions, declared: BalancerFile | None) -> tuple[str, ...]:
    """Profiles that can be judged: `polling` only where the balancer has addresses for Tentacles.

    Raises:
        OptionError: no such balancer, mode or address.
    """
    polled = passes_tentacles(options) if options.balancer else bool(tentacle_places(options, declared))
    return tuple(name for name in PROFILES if name != POLLING or polled)


def selected_checks(
    options: TargetOptions, only: str | None, profiles: str | None, offered: Sequence[str]
) -> tuple[Check, ...]:
    """The checks to run, in the order of the catalogue.

    Args:
        only: Ids separated by commas; None means all.
        profiles: Profiles separated by commas; None means those that are offered.

    Raises:
        OptionError: an unknown id or profile, or a check that this balancer cannot be put to.
    """
    wanted = ([REGION] if options.standby else list(offered)) if profiles is None else profiles.split(",")
    for name in wanted:
        if name not in (*PROFILES, REGION):
            raise OptionError(f"unknown profile {name!r}; profiles are {', '.join((*PROFILES, REGION))}")
    ids = list(CHECKS) if only is None else [name.strip().upper() for name in only.split(",")]
    for name in ids:
        if name not in CHECKS:
            close = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise OptionError(f"unknown check {name!r}{hint}; checks are {', '.join(CHECKS)}")
    # A check that the user names is run whatever this balancer offers by default.
    if only and not profiles:
        wanted = [*PROFILES, REGION]
    selected = tuple(item for item in CHECKS.values() if item.id in ids and item.profile in wanted)
    if not selected:
        raise OptionError(f"none of {', '.join(ids)} belongs to profile {', '.join(wanted)}")
    if any(item.profile == REGION for item in selected):
        _refuse_region(options, {item.profile for item in selected})
    elif options.standby:
        raise OptionError(
            "--standby is for profile region; the other profiles are judged without a second cluster behind the balancer"
        )
    if POLLING not in offered and any(item.profile == POLLING for item in selected):
        _refuse_polling(options)
    return selected


def left_out(checks: Sequence[Check], offered: Sequence[str]) -> tuple[str, ...]:
    """Ids of the checks that a run without `--only` and `--profile` would make as well; profile region has but its own."""
    profiles = {REGION} if any(item.profile == REGION for item in checks) else set(offered)
    return tuple(item.id for item in CHECKS.values() if item.profile in profiles and item not in checks)


def _refuse_region(options: TargetOptions, profiles: set[str]) -> None:
    """Refuse profile region without a standby, or together with profiles whose checks a standby would answer."""
    if profiles != {REGION}:
        raise OptionError(
            "profile region is judged alone: with a standby behind it the balancer answers when all its nodes are drained"
        )
    if not options.balancer:
        if not options.standby:
            raise OptionError(
                "profile 'region' needs a standby: a second `mocknode up` behind the balancer; give --standby CONTROL_URL"
            )
    elif options.config:
        if not any(name.startswith("STANDBY_") for name in balancers.placeholders(read(options.config))):
            raise OptionError(
                f"--config {options.config} has no standby; name its nodes ${{STANDBY_1_HTTP}}, ${{STANDBY_1_TENTACLE}} and so on"
            )
    elif not balancers.fails_over(options.balancer, options.used_mode):
        able = [f"{k} ({m})" for k in balancers.KINDS for m in balancers.MODES(k) if balancers.fails_over(k, m)]
        raise OptionError(
            f"profile 'region': mode {options.used_mode} of {options.balancer} has no standby; those that have: "
            f"{', '.join(able)}; or give --config, or --lb URL --standby CONTROL_URL"
        )


def _refuse_polling(options: TargetOptions) -> None:
    """Refuse profile polling where no addresses are known. A product that cannot have any is not refused: that is a finding."""
    if not options.balancer:
        raise OptionError(
            "no addresses are known at which Tentacles poll; give --tentacle NODE=HOST:PORT for each node"
        )
    if options.config:
        raise OptionError(
            f"--config {options.config} has no address for Tentacles; name them ${{FRONT_TENTACLE_1}} and "
            "${NODE_1_TENTACLE} (or ${FRONT_HOST}, ${FRONT_TENTACLE_1_PORT}, ${NODE_1_TENTACLE_HOST} and ${NODE_1_TENTACLE_PORT}), "
            "and so on for each node"
        )
    able = [mode for mode in balancers.MODES(options.balancer) if balancers.passes(options.balancer, mode)]
    if able:
        raise OptionError(
            f"mode {options.mode} has no address for Tentacles; these modes have one for each node: {', '.join(able)}"
        )
