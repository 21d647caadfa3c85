"""Scenario scripts: a workload, what is done to the nodes meanwhile, and what must hold.

`parsing` turns a file into a `Scenario`, `planning` a scenario into a `Plan`. An engine carries the plan out, and what it recorded is
judged alone. Verbs, conditions and streams are one file each, named in `vocabulary`; each file has the declaration, from which parser
and JSON Schema are made, and the function that carries it out or looks.
"""
