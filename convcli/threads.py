"""The one thread pool: jobs that write into disjoint parts of an array."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any


def run(jobs: Iterable[Callable[[], object]], threads: int, *, one_blas_thread: bool = False) -> None:
    """Run all jobs on `threads` threads, the calling one included.

    The first exception stops the jobs that have not begun and is raised here; Ctrl-C reaches the
    calling thread and does the same.

    Parameters
    ----------
    jobs : iterable of callables
        Each is called once, in no certain order.
    threads : int
        At least 1.
    one_blas_thread : bool
        Hold BLAS to one thread meanwhile: its own threads would compete with these.

    Examples
    --------
    >>> done = []
    >>> run([lambda: done.append(1)] * 3, threads=2)
    >>> sum(done)
    3
    """
    waiting = iter(jobs)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not errors:
                with lock:
                    job = next(waiting, None)
                if job is None:
                    return
                job()
        except BaseException as error:
            errors.append(error)

    limited = one_blas_thread and os.environ.get("OPENBLAS_NUM_THREADS") != "1"
    with _one_blas_thread() if limited else contextlib.nullcontext():
        helpers = [threading.Thread(target=work, daemon=True) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        work()
        for helper in helpers:
            _join(helper, errors)
    if errors:
        raise errors[0]


def _join(helper: threading.Thread, errors: list[BaseException]) -> None:
    """Wait for `helper`; a Ctrl-C while waiting still waits, for the array is in use."""
    while helper.is_alive():
        try:
            helper.join()
        except KeyboardInterrupt as error:
            errors.append(error)


_blas_lock = threading.Lock()
_blas_users = 0
_blas_limit: AbstractContextManager[Any] | None = None


@functools.cache
def _blas_controller() -> Any:
    """Find the BLAS libraries once: the search takes longer than a small convolution."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Limit BLAS for as long as anybody needs it; the limit belongs to the process, not to a thread."""
    global _blas_users, _blas_limit
    with _blas_lock:
        _blas_users += 1
        if _blas_users == 1:
            _blas_limit = _blas_controller().limit(limits=1, user_api="blas")
            _blas_limit.__enter__()
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0 and _blas_limit is not None:
                _blas_limit.__exit__(None, None, None)
                _blas_limit = None
