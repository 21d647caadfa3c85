"""`POST .../packages/raw` and the NuGet push: one multipart upload, digested while it arrives, stored before it is answered.

201 = stored, 200 = an existing package was kept, 409 = it exists; `overwriteMode` says which, or the older `replace`. Source:
the swagger of the server, `package_service.go` of go-octopusdeploy and `OverwriteMode.cs` of OctopusClients.
"""

from typing import Any, Final

from mocknode.node.documents.packages import PackageDocument
from mocknode.node.packages.upload import upload
from mocknode.node.routing import Operation, Query

_RAW: Final = (
    Query(
        name="overwriteMode", description="What to do when the package exists; FailIfExists when absent.",
        allowed=("FailIfExists", "OverwriteExisting", "IgnoreIfExists"),
    ),
    Query(name="replace", description="The older form: true is OverwriteExisting.", type="boolean"),
)  # fmt: skip
_PUSH: Final[dict[str, Any]] = {
    "handler": upload, "scoped": True, "answer": PackageDocument, "statuses": (200, 201), "errors": (400, 403, 409, 413, 503),
    "query": _RAW, "body": ("multipart/form-data", bytes),
}  # fmt: skip

operations: Final = [
    Operation(method="POST", path="/packages/raw", **_PUSH),
    Operation(method="PUT", path="/nuget/packages", **_PUSH),
    Operation(method="PUT", path="/nuget/packages", **_PUSH, root=""),
]
