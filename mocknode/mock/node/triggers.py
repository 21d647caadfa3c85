"""Triggers: a time, a number of pings, or a share or byte of an upload's body that something waits for.

Pure: the caller passes in the clock and the counters, and asks again whenever one of them has moved.
"""

import enum
import re
from dataclasses import dataclass
from typing import Final

from mocknode.mock.node.refusals import RefusedError
from mocknode.text import units

FORMS: Final = ("5s", "3 pings", "30% of an upload", "64KiB")

_PINGS: Final = re.compile(r"(\d+)\s*pings?")
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%(?:\s+of\s+an\s+upload)?")


class TriggerError(RefusedError):
    """A trigger that is none of the forms."""


class Measure(enum.Enum):
    """What a trigger waits for."""

    TIME = "seconds"
    PINGS = "pings"
    SHARE = "share of an upload's body"
    BYTES = "bytes of an upload's body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Something to wait for.

    Attributes:
        value: Seconds, pings, a share from 0 to 1, or bytes.
        text: The trigger as it was written.
    """

    measure: Measure
    value: float
    text: str

    def met(self, *, elapsed_s: float = 0.0, pings: int = 0, received: int = -1, length: int | None = None) -> bool:
        """Return whether it is met.

        Args:
            elapsed_s: Since it was armed.
            pings: Answered since it was armed.
            received: Body bytes of an upload in flight; negative when no upload is meant.
            length: That upload's declared length; a share of an undeclared length is met by its end only.
        """
        match self.measure:
            case Measure.TIME:
                return elapsed_s >= self.value
            case Measure.PINGS:
                return pings >= self.value
            case Measure.SHARE:
                return received >= 0 and length is not None and received >= self.value * length
            case Measure.BYTES:
                return received >= self.value


def parse_trigger(text: str) -> Trigger:
    """Return the trigger that `text` describes.

    Raises:
        TriggerError: naming what was got and the forms that are allowed.
    """
    written = text.strip()
    if (match := _PINGS.fullmatch(written)) and int(match[1]):
        return Trigger(measure=Measure.PINGS, value=int(match[1]), text=written)
    if (match := _SHARE.fullmatch(written)) and float(match[1]) <= 100:
        return Trigger(measure=Measure.SHARE, value=float(match[1]) / 100, text=written)
    for measure, parse in ((Measure.TIME, units.parse_duration), (Measure.BYTES, units.parse_size)):
        try:
            return Trigger(measure=measure, value=parse(written), text=written)
        except ValueError:
            continue
    raise TriggerError(f"trigger: got {text!r}, allowed are forms such as {', '.join(FORMS)}", got=text, allowed=FORMS)
