"""Where nodes that keep the bytes of packages put them: one file per upload, under the run directory that the nodes share.

Names are the node's own, never a client's: a package id may have any letters and more of them than a file name. A name is used
once, and its file written once, so that snapshots can name it too.
"""

from pathlib import Path

from mocknode.mock.data.store import Package, Store
from mocknode.mock.node.config import NodeConfig

_FOLDER = "packages"


def place(config: NodeConfig, space: str, req: int) -> str | None:
    """Return where the bytes of the upload with this number go, as the catalogue names it; None when nodes keep none."""
    return f"{space}/{config.name}-{config.boot}-{req}" if config.keep_packages else None


def whole_path(run_dir: Path, kept_as: str) -> Path:
    """Return the path of a file by its name in the catalogue."""
    return run_dir / _FOLDER / kept_as


def path_of(run_dir: Path, package: Package) -> Path | None:
    """Return the file of a package; None when its bytes were not kept."""
    return None if package.kept_as is None else whole_path(run_dir, package.kept_as)


def forget(store: Store, run_dir: Path, package: Package) -> None:
    """Delete the file of a package that left the catalogue, if there is one and no snapshot needs it.

    Raises:
        StoreError: it cannot be asked; the file stays.
    """
    path = path_of(run_dir, package)
    # The catalogue is asked too: the package may have been restored since it left.
    if path is not None and not store.needs_file(package):
        path.unlink(missing_ok=True)
