"""The judge: real balancers, clients that control every byte, a history, and verdicts read from it.

`runner` drives checks from `catalogue` against a balancer from `balancers` (or one that runs already), `traffic` sends,
`history` records what client and nodes saw, `calibration`, `ledger` and each check's `judge` read nothing but that record,
and `report` shows the result.
"""
