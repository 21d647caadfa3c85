"""Both APIs, fuzzed by their OpenAPI documents: no 5xx, no status, media type or document that is not announced."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mocknode.mock.cluster.control_api import ControlApi
from mocknode.mock.cluster.openapi import openapi as control_document
from mocknode.mock.node.rest.openapi import openapi as node_document
from mocknode.mock.node.rest.routes import OPERATIONS

pytestmark = pytest.mark.burns

PROMISES = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LIMIT_S = 20.0
# A long run: MOCKNODE_FUZZ_EXAMPLES=200 pytest tests/openapi
EXAMPLES = int(os.environ.get("MOCKNODE_FUZZ_EXAMPLES", "10"))
# How the default space is named by the spellings of a path that name one.
SPACE = {"spaceId": "Spaces-1", "spaceIdentifier": "default"}
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
# The same handlers under another spelling.
fuzzed_again = settings(fuzzed, max_examples=max(1, EXAMPLES // 3))


def operations(document: dict[str, Any], leave_out: Any) -> list[Any]:
    """What can be fuzzed and how, as parameters of a test. Bad credentials have a test of their own, for every row."""
    found = [operation.ok() for operation in schemathesis.openapi.from_dict(document).get_all_operations()]
    return [
        pytest.param(operation, mode, id=f"{operation.label} {word}")
        for operation in found
        if not leave_out(operation.path)
        for mode, word in ((GenerationMode.POSITIVE, "fitting"), (GenerationMode.NEGATIVE, "unfitting"))
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation)
    ]


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything that does not fit. Any text may stand in a path, but as the name of a space, and what is
    wrong in one spelling of a path is wrong in all."""
    if names_a_space(operation):
        return bool(operation.path == "/api/{spaceId}")
    return bool(operation.body or operation.query)


def names_a_space(operation: Any) -> bool:
    """Whether this is a spelling of a path that names a space."""
    return any(parameter.name in SPACE for parameter in operation.path_parameters)


NODE = operations(node_document(OPERATIONS, version="2026.2.1"), lambda _: False)
_offline: Any = SimpleNamespace(shared=SimpleNamespace(store="sqlite://", run_dir=Path()), names=[])
# Events have no end, and take nothing; `tests/mock/cluster/test_control_api.py` reads them.
CONTROL = operations(
    control_document(
        ControlApi(_offline, dict, None, _offline).operations(), title="control", version="1", token=False
    ),
    lambda path: path == "/events",
)


@pytest.mark.parametrize(("operation", "mode"), NODE)
def test_the_nodes_api_keeps_what_it_promises(cluster, operation, mode):
    @(fuzzed_again if names_a_space(operation) else fuzzed)
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = {name: SPACE.get(name, value) for name, value in case.path_parameters.items()}
        case.call_and_validate(
            base_url=cluster["nodes"][0]["http"], headers={"X-Octopus-ApiKey": cluster["api_key"]}, checks=PROMISES,
            timeout=LIMIT_S,
        )  # fmt: skip

    send()


@pytest.mark.parametrize(("operation", "mode"), CONTROL)
def test_the_control_api_keeps_what_it_promises(cluster, operation, mode):
    @fuzzed
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        answer = case.call_and_validate(base_url=cluster["control"], checks=PROMISES, timeout=LIMIT_S)
        if operation.label == "PUT /lease" and answer.status_code == 200:
            # Or nothing else could be changed for 15 s.
            httpx.delete(f"{cluster['control']}/lease", headers={"X-Mocknode-Lease": answer.json()["lease"]})

    send()


@pytest.mark.parametrize("which", ["node", "control"])
def test_the_documents_are_openapi_with_schemas_that_hold_together(cluster, which):
    url = f"{cluster['nodes'][0]['http']}/api/openapi.json" if which == "node" else f"{cluster['control']}/openapi.json"
    document = httpx.get(url).raise_for_status().json()
    assert document["openapi"].startswith("3.1.")
    names = set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    references = {text.split('"')[0] for text in httpx.get(url).text.split("#/components/schemas/")[1:]}
    assert references <= names
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
