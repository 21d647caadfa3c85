"""A cause: one thing that can be wrong with a balancer. The check that finds it declares it in the catalogue."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on a cause that is true of every product.

    Attributes:
        do: What to change, in one sentence.
        costs: Side effects of the change, in one sentence.
    """

    do: str
    costs: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that can be wrong with a balancer.

    Attributes:
        slug: Its name in reports, in verdicts and in the files with the fixes of each product.
        advice: What to do about it in a product whose configuration is not known.
    """

    slug: str
    advice: Advice
