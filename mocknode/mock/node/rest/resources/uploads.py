"""`POST .../packages/raw` and the NuGet push: one multipart upload, digested while it arrives, stored before it is answered.

201 = stored, 200 = an existing package was kept, 409 = it exists; `overwriteMode` says which, or the older `replace`. Source:
the swagger of the server, `package_service.go` of go-octopusdeploy and `OverwriteMode.cs` of OctopusClients.
"""

from typing import Any, Final

from mocknode.mock.data.directory import PUSH
from mocknode.mock.data.store import package_key
from mocknode.mock.node.packages.multipart import MultipartError
from mocknode.mock.node.packages.names import FileNameError, bare_name, parse_file_name
from mocknode.mock.node.packages.nuget import archive_flaw
from mocknode.mock.node.packages.receiver import FileSink, receive_file
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.package import PackageDocument, Validation
from mocknode.mock.node.rest.package_upload import boundary, upload
from mocknode.mock.node.rest.routing import Operation, Query, route

OVERWRITE: Final = (
    Query(
        name="overwriteMode", description="What to do when the package exists; FailIfExists when absent.",
        allowed=("FailIfExists", "OverwriteExisting", "IgnoreIfExists"),
    ),
    Query(name="replace", description="The older form: true is OverwriteExisting.", type="boolean"),
)  # fmt: skip
_PUSH: Final[dict[str, Any]] = {
    "handler": upload, "scoped": True, "answer": PackageDocument, "statuses": (200, 201), "errors": (400, 403, 409, 413, 503),
    "query": OVERWRITE, "body": ("multipart/form-data", bytes),
}  # fmt: skip


async def validate(call: Call) -> None:
    """What would keep this package from being stored; nothing is."""
    await call.changes(PUSH)
    sink = FileSink(boundary(call), None)
    whole = True
    try:
        await receive_file(call.exchange, sink, call.context.digest_thread)
    except MultipartError:
        whole = False
        await call.exchange.drop_body()
    await call.exchange.body_end()
    await call.answer(200, Validation(Issue=await _issue(call, sink) if whole else "CouldNotValidate"))


async def _issue(call: Call, sink: FileSink) -> Any:
    if sink.size == 0:
        return "EmptyFile"
    try:
        name = parse_file_name(bare_name(sink.part.file_name or ""))
    except FileNameError as exc:
        return exc.issue
    if name.is_nuget and archive_flaw(sink.start, sink.end) is not None:
        return "CorruptedNugetPackage"
    held = await call.stored(call.context.store.package, call.space, package_key(name.package_id, name.version))
    return None if held is None else "PackageAlreadyExists"


operations: Final = [
    Operation(method="POST", path="/packages/raw", **_PUSH),
    Operation(
        method="POST", path="/packages/raw/validate", handler=validate, scoped=True, answer=Validation,
        errors=(400, 403, 413, 503), body=("multipart/form-data", bytes),
    ),
    *route("/nuget/packages", "PUT POST", **_PUSH),
    *route("/nuget/packages", "PUT POST", **_PUSH, root=""),
]  # fmt: skip
