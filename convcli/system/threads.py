"""The one thread pool: jobs that write into disjoint parts of an array, or that are begun ahead.

The threads stay. To start and forget them in every call would not only take longer: a signal that
arrives while Python tidies up after a thread is lost, or leaves a lock locked (seen once in 300 Ctrl-C).
"""

import contextlib
import functools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Any, TypeVar

R = TypeVar("R")


def run(jobs: Iterable[Callable[[], object]], threads: int, *, one_blas_thread: bool = False) -> None:
    """Run all jobs on `threads` threads, the calling one included; each is called once, in no certain order.

    The first exception stops the jobs that have not begun and is raised here; Ctrl-C reaches the
    calling thread and does the same. No job runs any more when this returns or raises. With
    `one_blas_thread`, BLAS is held to one thread meanwhile: its own threads would compete with these.
    """
    waiting = iter(jobs)
    lock = threading.Lock()
    errors: list[BaseException] = []
    begun: list[bool] = []
    finished: list[bool] = []
    closed: list[bool] = []
    ended: SimpleQueue[None] = SimpleQueue()

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

    def help_out() -> Callable[[], None] | None:
        with lock:
            if closed:  # too late: `run` no longer waits for it
                return None
            begun.append(True)
        work()
        return report

    def report() -> None:
        finished.append(True)
        ended.put(None)

    limited = one_blas_thread and os.environ.get("OPENBLAS_NUM_THREADS") != "1"
    with _one_blas_thread() if limited else contextlib.nullcontext():
        try:
            for _ in range(threads - 1):
                _idle_helper().put(help_out)
            work()
        except BaseException as error:
            errors.append(error)
        while True:
            try:
                with lock:
                    closed.append(True)
                while len(finished) < len(begun):
                    ended.get()
                break
            except BaseException as error:  # Ctrl-C still waits, for the array is in use
                errors.append(error)
    if errors:
        raise errors[0]


def begin(job: Callable[[], R]) -> Callable[[], R]:
    """Begin a job on another thread; call what is returned to wait for its result, until Ctrl-C."""
    ended: SimpleQueue[Callable[[], R]] = SimpleQueue()

    def work() -> Callable[[], None]:
        try:
            result = job()
        except BaseException as error:
            return functools.partial(ended.put, functools.partial(_raise, error))
        return functools.partial(ended.put, lambda: result)

    _idle_helper().put(work)
    return lambda: ended.get()()


def _raise(error: BaseException) -> Any:
    raise error


Inbox = SimpleQueue[Callable[[], Callable[[], None] | None]]
_idle: deque[Inbox] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


def _idle_helper() -> Inbox:
    """Return the inbox of a thread that waits for work, a new one if all are busy."""
    with contextlib.suppress(IndexError):
        return _idle.pop()
    inbox: Inbox = SimpleQueue()
    with _signals_held():
        threading.Thread(target=_serve, args=(inbox,), name="convcli", daemon=True).start()
    return inbox


def _serve(inbox: Inbox) -> None:
    while True:
        report = inbox.get()()
        _idle.append(inbox)
        if report is not None:
            report()
        del report  # it holds on to arrays


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals wait; a thread that is started meanwhile never receives any."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # to change the mask may raise, for signals that have come before
        signal.pthread_sigmask(signal.SIG_BLOCK, held)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    """Limit BLAS for as long as any caller needs it; the limit belongs to the process, not to a thread."""
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
