"""Work on the next inputs while the results of one are written."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from convcli.system import threads

T = TypeVar("T")
S = TypeVar("S")
R = TypeVar("R")


class Prefetch(Generic[T, S, R]):
    """The results of tasks, one after the other in their order, while the next tasks are worked on.

    All tasks are read in the calling thread: it may take a resource that a process has once. The rest is
    done on other threads, for as many tasks as the budget allows. A task that needs more than all of that is
    done in the calling thread when its turn has come, and nothing beside it. A task that cannot be read early
    is read again then, and may fail.

    `read` makes the input of `work` from a task, and `work` the result; `size` is the number of bytes that
    the input takes, with all that is made from it. A task that is `late` may only be read when its turn has
    come. At most `most` tasks (0 for none) are begun before their turn, of `budget` bytes together.

    >>> squares = Prefetch([1, 2, 3], int, str, size=abs, late=lambda _: False, most=2, budget=4)
    >>> [squares.take() for _ in range(3)]
    ['1', '2', '3']
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
        budget: float,
    ) -> None:
        self.tasks, self.read, self.work = deque(tasks), read, work
        self.size, self.late, self.most, self.budget = size, late, most, budget
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
        """Begin all tasks that the budget allows."""
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
        if task.wait is None and self.most and used <= self.budget:
            task.wait = threads.begin(task.work)
        return task.wait is not None


@dataclass(eq=False, repr=False)
class _Begun(Generic[R]):
    """A task that was read: the work left to do, and a function that waits for it if it is under way."""

    work: Callable[[], R]
    size: float
    wait: Callable[[], R] | None = None
