"""Work on the next inputs while the results of one are written."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from convcli.system import threads

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")


class Ahead(Generic[T, S, R]):
    """The results of tasks, one after the other in their order, while the next tasks are worked on.

    All tasks are read in the calling thread: to read may take what there is once in a process. The rest
    is done on other threads, for as many tasks as there is room for. What needs more than all of that is
    done in the calling thread when its turn has come, and nothing beside it. What cannot be read early is
    read again then, and may fail.

    Parameters
    ----------
    tasks : sequence
    read : callable
        Makes of a task what the work is done on.
    work : callable
        Makes the result of that.
    size : callable
        Bytes that this takes, with all that it makes.
    late : callable
        Whether a task may only be read when its turn has come.
    most : int
        Tasks begun before their turn; 0 for none.
    room : float
        Bytes that they may take together.

    Examples
    --------
    >>> squares = Ahead([1, 2, 3], float, lambda x: x * x, size=abs, late=lambda _: False, most=2, room=4)
    >>> [squares.take() for _ in range(3)]
    [1.0, 4.0, 9.0]
    """

    def __init__(
        self,
        tasks: Sequence[T],
        read: Callable[[T], S],
        work: Callable[[S], R],
        *,
        size: Callable[[S], float],
        late: Callable[[T], bool],
        most: int,
        room: float,
    ) -> None:
        self.tasks, self.read, self.work = deque(tasks), read, work
        self.size, self.late, self.most, self.room = size, late, most, room
        self.queue: deque[_Begun[R]] = deque()
        self.held = 0.0  # bytes of the result that was taken last
        self.stuck = False  # the next task could not be read

    def take(self) -> R:
        """Return the result of the next task, or raise its error; the one before is done with."""
        self.held = 0.0
        if not self.queue:
            self.stuck = False
            self._read()
        self._look_ahead()
        task = self.queue.popleft()
        if task.wait is None:
            return task.work()
        self.held = task.size
        result = task.wait()
        self._look_ahead()
        return result

    def _look_ahead(self) -> None:
        """Begin all there is room for."""
        while (not self.queue or self._begin(self.queue[-1])) and len(self.queue) < self.most:
            if not self.tasks or self.stuck or self.late(self.tasks[0]):
                return
            task = self.tasks[0]
            try:
                self._read()
            except Exception:
                self.tasks.appendleft(task)
                self.stuck = True

    def _read(self) -> None:
        source = self.read(self.tasks.popleft())
        self.queue.append(_Begun(functools.partial(self.work, source), self.size(source)))

    def _begin(self, task: _Begun[R]) -> bool:
        used = self.held + sum(other.size for other in self.queue)
        if task.wait is None and self.most and used <= self.room:
            task.wait = threads.begin(task.work)
        return task.wait is not None


class _Begun(Generic[R]):
    """A task that was read: what is left to do, and what waits for that if it is under way."""

    def __init__(self, work: Callable[[], R], size: float) -> None:
        self.work, self.size = work, size
        self.wait: Callable[[], R] | None = None
