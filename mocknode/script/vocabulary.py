"""Every verb, condition and stream that a scenario can name. The order is that of help texts and schemas."""

from typing import Final

from mocknode.script.conditions import (
    answers,
    errors,
    fair_share,
    idle,
    in_flight,
    latency,
    node_share,
    only_at,
    probed,
    quiet,
    rate,
    served_by,
    tasks_running,
    upload_ends,
    upload_on,
)
from mocknode.script.declared import ConditionShape, StreamShape, Verb
from mocknode.script.streams import browse, ping, push, queued_tasks
from mocknode.script.verbs import (
    drain,
    expect,
    heal,
    mark,
    offline,
    online,
    restart,
    resume,
    set_fault,
    sleep,
    task,
    wait,
)

VERBS: Final[dict[str, Verb]] = {
    module.VERB.word: module.VERB
    for module in (
        drain,
        resume,
        offline,
        online,
        restart,
        set_fault,
        heal,
        task,
        wait,
        expect,
        sleep,
        mark,
    )
}
CONDITIONS: Final[dict[str, ConditionShape]] = {
    module.CONDITION.word: module.CONDITION
    for module in (
        upload_on,
        in_flight,
        quiet,
        idle,
        fair_share,
        node_share,
        served_by,
        only_at,
        probed,
        answers,
        tasks_running,
        errors,
        latency,
        rate,
        upload_ends,
    )
}
STREAMS: Final[dict[str, StreamShape]] = {
    module.STREAM.word: module.STREAM
    for module in (
        push,
        browse,
        ping,
        queued_tasks,
    )
}
