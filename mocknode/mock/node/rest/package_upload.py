"""Uploads: read, name, store and answer; the same for whole files and for deltas."""

import time
from typing import Final
from urllib.parse import quote

from mocknode.mock.data.directory import MANAGE_PACKAGES, PUSH
from mocknode.mock.data.store import Existing, Package, RestoredError, timestamp
from mocknode.mock.node.packages.kept import forget, place, whole_path
from mocknode.mock.node.packages.multipart import MultipartError, boundary_of
from mocknode.mock.node.packages.names import FileNameError, bare_name, parse_file_name
from mocknode.mock.node.packages.nuget import archive_flaw
from mocknode.mock.node.packages.octodiff.delta import DeltaError
from mocknode.mock.node.packages.receiver import FileSink, receive_file
from mocknode.mock.node.rest.call import Call
from mocknode.mock.node.rest.documents.package import package_document
from mocknode.mock.node.rest.problems import FORBIDDEN, ProblemError, invalid

MODES: Final[dict[str, Existing]] = {
    "failifexists": "fail",
    "overwriteexisting": "replace",
    "ignoreifexists": "keep",
}
EXISTS: Final = (
    "A package with the same ID and version already exists. To proceed anyway, specify an overwriteMode of "
    "OverwriteExisting or IgnoreIfExists. (A package with the same name and version already exists.)"
)
# What may stand in a path as it is (RFC 3986, pchar and the slash).
_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"


async def overwrite_mode(call: Call) -> Existing:
    """Check that the user may push, and return what to do when the package exists.

    Raises:
        ProblemError: 400, 403, or maintenance mode.
    """
    mode = call.query("overwriteMode")
    if mode is None:
        existing: Existing = "replace" if call.flag("replace") else "fail"
    elif mode.lower() in MODES:
        existing = MODES[mode.lower()]
    else:
        raise invalid(f"overwriteMode: got {mode!r}, allowed: FailIfExists, OverwriteExisting, IgnoreIfExists")
    await call.changes(PUSH)
    return existing


def boundary(call: Call) -> bytes:
    """Return the boundary of the multipart body.

    Raises:
        ProblemError: 400, the body is something else.
    """
    try:
        return boundary_of(call.facts.header(b"content-type"))
    except MultipartError as exc:
        raise invalid(str(exc)) from exc


async def upload(call: Call) -> None:
    """Take one whole package."""
    existing = await overwrite_mode(call)
    kept_as = place(call.context.config, call.space, call.facts.req)
    config = call.context.config
    keep = None if kept_as is None else whole_path(config.run_dir, kept_as)
    sink = FileSink(boundary(call), keep, config.keep_only)
    await take(call, sink, existing, kept_as)


async def take(
    call: Call, sink: FileSink, existing: Existing, kept_as: str | None, *, of: Package | None = None
) -> None:
    """Read a package through `sink`, store it and answer; delete its bytes when that fails.

    Args:
        of: A package of which the new one must be another version.

    Raises:
        ProblemError: 400, 403, 409, 503. OverError: the upload was torn, or a fault answered it.
    """
    stored = False
    try:
        package = await _receive(call, sink, kept_as)
        if of is not None and of.package_id.lower() != package.package_id.lower():
            raise invalid(f"file name: got {package.file_name!r}, allowed: a version of {of.package_id}")
        stored = await _store(call, package, existing)
    finally:
        if not stored:
            sink.discard()


async def _receive(call: Call, sink: FileSink, kept_as: str | None) -> Package:
    """Read the body, let faults act, and return the package, which is not stored yet."""
    exchange, config = call.exchange, call.context.config
    problem: ProblemError | None = None
    try:
        await receive_file(exchange, sink, call.context.digest_thread)
    except (MultipartError, DeltaError) as exc:
        problem = invalid(str(exc))
        await exchange.drop_body()
    await exchange.body_end()
    if problem is not None:
        raise problem
    file_name = bare_name(sink.part.file_name or "")
    if not file_name:
        raise invalid("A package file must be provided")
    if sink.size == 0:
        raise invalid(f"uploaded package file had length equal to 0: {file_name}")
    try:
        name = parse_file_name(file_name)
    except FileNameError as exc:
        raise invalid(str(exc)) from exc
    if name.is_nuget and (flaw := archive_flaw(sink.start, sink.end)) is not None:
        raise invalid(f"{file_name} is no NuGet package: {flaw}")
    return Package(
        space=call.space, package_id=name.package_id, version=name.version, extension=name.extension, file_name=file_name,
        size=sink.size, sha1=sink.sha1, published=timestamp(time.time()), node=config.name,
        kept_as=kept_as if sink.kept else None,
    )  # fmt: skip


async def _store(call: Call, package: Package, existing: Existing) -> bool:
    """Store the package, answer, and return whether the catalogue took this very upload."""
    may_replace = existing != "replace" or call.asker.may(MANAGE_PACKAGES)
    try:
        stored, held, replaced = await call.context.cataloguing.add(
            package, existing if may_replace else "fail", call.restores
        )
    except RestoredError as exc:
        raise ProblemError(503, str(exc)) from exc
    if stored == "exists":
        raise (
            ProblemError(409, EXISTS, (EXISTS,))
            if may_replace
            else ProblemError(403, FORBIDDEN.format(MANAGE_PACKAGES))
        )
    if replaced is not None and replaced.kept_as is not None:
        await call.stored(forget, call.context.store, call.context.config.run_dir, replaced)
    document = package_document(held, await call.context.spaces.built_in_feed(call.space))
    call.facts.package = {
        "id": document["Id"], "package_id": held.package_id, "version": held.version, "file_name": held.file_name,
    }  # fmt: skip
    status = {"kept": 200, "replaced": call.context.config.web.overwrite_status, "created": 201}[stored]
    location = quote(document["Links"]["Self"], safe=_PATH_SAFE).encode()
    await call.answer(status, document, (b"location", location))
    return stored != "kept"
