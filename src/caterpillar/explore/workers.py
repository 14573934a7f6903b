"""Where joblib's work is done: in processes here, or on a dask cluster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from caterpillar.checks import UsageError

LOCAL = "local"


@contextmanager
def backend(workers: int, dask: str | None) -> Generator[None]:
    """joblib's for the work inside. dask: a scheduler's address; local starts a cluster of so many workers here.

    Raises UsageError if dask is not installed, or no scheduler is found there.
    """
    from joblib import parallel_config

    if dask is None:
        with parallel_config(backend="loky", n_jobs=workers):
            yield
        return
    try:
        import distributed
    except ImportError:
        raise UsageError("--dask needs the study extra: pip install 'caterpillar-cgra[study]'") from None
    library: Any = distributed
    cluster = None
    if dask == LOCAL:
        cluster = library.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        client = library.Client(cluster or dask, timeout=10)
    except (OSError, ValueError) as error:
        raise UsageError(f"--dask must be local or the address of a scheduler, got {dask!r}: {error}") from None
    try:
        with client, parallel_config(backend="dask"):
            yield
    finally:
        if cluster is not None:
            cluster.close()
