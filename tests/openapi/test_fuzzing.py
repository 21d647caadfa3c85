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

from mocknode.cluster.control_api import ControlApi
from mocknode.cluster.openapi import openapi as control_document
from mocknode.node.openapi import openapi as node_document
from mocknode.node.routes import OPERATIONS

PROMISES = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LIMIT_S = 20.0
# A long run: MOCKNODE_FUZZ_EXAMPLES=200 pytest tests/openapi
EXAMPLES = int(os.environ.get("MOCKNODE_FUZZ_EXAMPLES", "10"))
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def operations(document: dict[str, Any], leave_out: Any) -> list[Any]:
    """What can be fuzzed, as parameters of a test."""
    found = [operation.ok() for operation in schemathesis.openapi.from_dict(document).get_all_operations()]
    return [pytest.param(operation, id=operation.label) for operation in found if not leave_out(operation.path)]


# The same rows under their other spellings have tests of their own.
NODE = operations(
    node_document(OPERATIONS, version="2026.2.1"),
    lambda path: path.startswith(("/api/{spaceId}/", "/api/spaces/{spaceIdentifier}/", "/{spaceId}/")),
)
_offline: Any = SimpleNamespace(shared=SimpleNamespace(store="sqlite://", run_dir=Path()), names=[])
# Events have no end, so they cannot be fuzzed.
CONTROL = operations(
    control_document(
        ControlApi(_offline, dict, None, _offline).operations(), title="control", version="1", token=False
    ),
    lambda path: path == "/events",
)
MODES = pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"]
)


@MODES
@pytest.mark.parametrize("operation", NODE)
def test_the_nodes_api_keeps_what_it_promises(cluster, operation, mode):
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("takes nothing that could be wrong")

    @fuzzed
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        case.call_and_validate(
            base_url=cluster["nodes"][0]["http"], headers={"X-Octopus-ApiKey": cluster["api_key"]}, checks=PROMISES,
            timeout=LIMIT_S,
        )  # fmt: skip

    send()


@MODES
@pytest.mark.parametrize("operation", CONTROL)
def test_the_control_api_keeps_what_it_promises(cluster, operation, mode):
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("takes nothing that could be wrong")

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
