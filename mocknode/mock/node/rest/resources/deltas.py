"""`.../delta-signature` and `.../delta`: a new version sent as what differs from one that the feed has (Octodiff).

Where nodes keep no bytes there is nothing to differ from: the signature is 404, upon which clients send the whole file. Source:
`package_delta_upload.go` of go-octopusdeploy, `BuiltInPackageRepositoryRepository.cs` of OctopusClients. The vendor documents
200, 201, 400 and 409 for the delta itself, so a base that is missing is 400.
"""

import asyncio
from pathlib import Path
from typing import Final

from mocknode.mock.data.directory import PUSH
from mocknode.mock.data.store import Package
from mocknode.mock.node.http.answers import JSON_TYPE
from mocknode.mock.node.packages.delta import DeltaSink, base_for, signature_document
from mocknode.mock.node.packages.kept import path_of, place, whole_path
from mocknode.mock.node.packages.names import is_version
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.package import DeltaSignature, PackageDocument
from mocknode.mock.node.rest.package_upload import boundary, overwrite_mode, take
from mocknode.mock.node.rest.problems import ProblemError, invalid
from mocknode.mock.node.rest.resources.uploads import OVERWRITE
from mocknode.mock.node.rest.routing import Operation


async def delta_signature(call: Call) -> None:
    """From which version a delta may start, and its signature; 404 when the whole package must be sent."""
    call.require(PUSH)
    package_id, version = call.params["packageId"], _version(call, "version")
    versions = await call.stored(call.context.store.packages, call.space, package_id)
    config = call.context.config
    base = await asyncio.to_thread(base_for, versions, version, config.web.delta_base, config.run_dir)
    path = None if base is None else path_of(config.run_dir, base)
    if base is None or path is None:
        raise ProblemError(404, f"{package_id} has no earlier version whose bytes are kept.{_hint(call)}")
    length, parts = signature_document(path, base.size, base.version)
    await call.answer_parts([(b"content-type", JSON_TYPE)], length, parts)


async def upload_delta(call: Call) -> None:
    """Take one package as a delta; the file name says which version it makes."""
    existing = await overwrite_mode(call)
    package_id, version = call.params["packageId"], _version(call, "baseVersion")
    bound = boundary(call)
    base: Package | None = await call.stored(call.context.store.package, call.space, f"{package_id}.{version}")
    run_dir = call.context.config.run_dir
    basis = None if base is None else path_of(run_dir, base)
    kept_as = place(call.context.config, call.space, call.facts.req)
    if base is None or basis is None or kept_as is None or not await asyncio.to_thread(basis.is_file):
        raise invalid(f"base: got {package_id} {version}, allowed: a version whose bytes are kept.{_hint(call)}")
    await take(call, await _sink(bound, whole_path(run_dir, kept_as), basis), existing, kept_as, of=base)


async def _sink(bound: bytes, keep: Path, basis: Path) -> DeltaSink:
    try:
        return await asyncio.to_thread(DeltaSink, bound, keep, basis)
    except OSError as exc:  # Deleted this moment.
        raise invalid(f"base: {exc.strerror}") from exc


def _version(call: Call, name: str) -> str:
    text = call.params[name]
    if not is_version(text):
        raise invalid(f"{name}: got {text!r}, allowed: a version such as 1.0.0 or 1.0.0-beta.1")
    return text


def _hint(call: Call) -> str:
    return "" if call.context.config.keep_packages else " These nodes keep none; start them with --keep-packages."


operations: Final = [
    Operation(
        method="GET", path="/packages/{packageId}/{version}/delta-signature", handler=delta_signature, scoped=True,
        answer=DeltaSignature, errors=(400, 403),
    ),
    Operation(
        method="POST", path="/packages/{packageId}/{baseVersion}/delta", handler=upload_delta, scoped=True,
        answer=PackageDocument, statuses=(200, 201), errors=(400, 403, 409, 413, 503), query=OVERWRITE,
        body=("multipart/form-data", bytes),
    ),
]  # fmt: skip
