"""The parts of a scenario file around its vocabulary: top-level keys, cluster, loops and chaos. Parser and schema are made from them."""

from collections.abc import Mapping
from typing import Final

from mocknode.mock.node.faults.kinds import FAULTS
from mocknode.script.declared import Field
from mocknode.script.model import NEEDS, VERSION
from mocknode.script.values import COUNT, DURATION, DURATIONS, NODE, PARAMETER_KINDS, TEXT, WORD, Kind, choice
from mocknode.script.verbs.offline import FORMS

VERSION_KEY: Final = "mocknode-scenario"

TOP: Final[Mapping[str, str]] = {
    VERSION_KEY: f"Version of the file format; {VERSION}.",
    "name": "Name of the scenario, as `scenario run` takes it.",
    "claim": "One sentence that is true of a balancer that passes.",
    "needs": "What the balancer must have; without it the scenario is skipped.",
    "parameters": "Values that `--set NAME=VALUE` can change. The rest of the file writes them as $NAME.",
    "cluster": "The cluster that is started; one that runs already is compared with it.",
    "workload": "Streams of requests by name, which go on during the whole schedule.",
    "steady-state": "Conditions that must hold before the first step.",
    "schedule": "Steps, one after another.",
    "expect": "What must hold, and when.",
}
"""Keys of the file, with their descriptions."""
REQUIRED: Final = (VERSION_KEY, "name", "claim", "workload", "expect")

NEED: Final = choice("need", *NEEDS)
WHENS: Final[Mapping[str, str]] = {
    "always": "Judged over the whole run.",
    "eventually": "Must come to hold within its bound after the schedule.",
    "finally": "Judged after the cluster was restored and a quiet second.",
}

NODES_MAX: Final = 32
"""The most that `mocknode up` starts."""
CLUSTER: Final = (
    Field(name="nodes", about=f"Number of nodes, 1 to {NODES_MAX}: node-1, node-2 and so on.", kind=COUNT),
    Field(name="tasks-per-node", about="Tasks that a node runs at the same time.", kind=COUNT),
)
STEADY_STATE: Final = (
    Field(name="within", about="The longest wait for it.", kind=DURATION, default=30.0),
    Field(name="all", about="The conditions.", kind=None, many=True, required=True),
)
PARAMETER: Final = (
    Field(name="type", about="How the value is written.", kind=choice("type", *PARAMETER_KINDS), required=True),
    Field(name="about", about="What it is, for `scenario show`.", kind=TEXT, default=""),
)
DEFAULT: Final = "default"
"""Key of the value that a parameter has without `--set`; it is read as the parameter's type."""

FOR_EACH: Final = "for-each"
REPEAT: Final = "repeat"
PARALLEL: Final = "parallel"
CHAOS: Final = "chaos"
DO: Final = "do"
BLOCKS: Final[Mapping[str, str]] = {
    FOR_EACH: "Do the steps of `do` for each value: `for-each: {node: [node-1, node-2]}`; $node is the value of the round.",
    REPEAT: "Do the steps of `do` so many times.",
    PARALLEL: "Do lists of steps side by side; the schedule goes on when all are done.",
    CHAOS: "Disturb nodes at random. The seed decides everything before the run starts.",
}
"""Steps that contain steps, with their descriptions."""
ALL: Final = "all"
"""Stands for all nodes in a `for-each`."""
REPEAT_MAX: Final = 1000
STEPS_MAX: Final = 2000
"""Steps of a schedule whose loops are unrolled; a run of a day with a step each minute has 1440."""

READ_MAX: Final = 2 * STEPS_MAX
"""Entries of a schedule that are read, loops and wrong ones included: loops in loops end here even if they hold no step."""
DISTURBANCES_MAX: Final = 1000
"""Disturbances that chaos can make; an hour with one every four seconds has 900."""

CHAOS_FIELDS: Final = (
    Field(name="for", about="How long new disturbances begin.", kind=DURATION, required=True),
    Field(name="every", about="Time from one to the next.", kind=DURATIONS, required=True),
    Field(name="lasting", about="How long each lasts.", kind=DURATIONS, required=True),
    Field(name="at-most-away", about="The most nodes that are disturbed at the same time.", kind=COUNT, default=1),
    Field(name="nodes", about="Nodes that may be disturbed; all of them by default.", kind=NODE, many=True, default=()),
)
PICK: Final = "pick"
PICK_ABOUT: Final = (
    "Disturbances with their weights, such as {drain: 4, crash: 2, fault reset: 1}. Each seed leaves out some of them."
)
WEIGHT_MAX: Final = 1000

FAULT_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "latency": ("delay=2s",),
    "status": ("code=503",),
    "slow-read": ("rate=1MiB",),
    "think": ("for=5s",),
    "early-response": ("code=503",),
    "drip": ("rate=1KiB",),
}
"""Options of the faults that chaos sets, for those that have to be given."""
DISTURBANCES: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "drain": ("drain", {}),
    **{form: ("offline", {"how": form}) for form in FORMS},
    **{f"fault {kind}": ("fault", {"kind": kind, "options": FAULT_OPTIONS.get(kind, ())}) for kind in FAULTS},
}
"""What chaos can pick: a verb, and its arguments beside the node."""

PARAMETER_NAME: Final[Kind] = WORD
