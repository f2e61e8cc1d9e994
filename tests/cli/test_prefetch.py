"""Work that begins early comes out as if it had been done one after the other."""

import threading
import time

import pytest

from convcli.cli.io.prefetch import Prefetch
from convcli.system import threads


def prefetch(tasks, read=float, work=float, *, size=lambda _: 1, late=lambda _: False, most=3, budget=9):
    return Prefetch(tasks, read, work, size=size, late=late, most=most, budget=budget)


def results(queue, count):
    """Take everything; an error in the place of its result."""
    taken = []
    for _ in range(count):
        try:
            taken.append(queue.take())
        except ValueError as error:
            taken.append(str(error))
    return taken


@pytest.mark.parametrize("most", [0, 1, 2, 5])
@pytest.mark.parametrize("budget", [0, 3, 100])
def test_results_come_in_order_whatever_takes_longest(most, budget):
    def work(n):
        time.sleep(0.002 * (n % 3 == 0))
        return -n

    queue = prefetch(range(12), work=work, size=lambda n: n % 5, most=most, budget=budget)
    assert results(queue, 12) == [-n for n in range(12)]


@pytest.mark.parametrize("most", [0, 3])
def test_error_comes_in_its_turn_and_stops_no_other(most):
    def read(task):
        if task == 2:
            raise ValueError("not read")
        return task

    def work(source):
        if source == 4:
            raise ValueError("not done")
        return source

    queue = prefetch(range(7), read, work, most=most)
    assert results(queue, 7) == [0, 1, "not read", 3, "not done", 5, 6]


def test_all_is_read_in_the_calling_thread_and_in_order():
    read, worked = [], set()

    def work(source):
        worked.add(threading.get_ident())
        return source

    queue = prefetch(range(9), lambda task: read.append((task, threading.get_ident())) or task, work)
    assert results(queue, 9) == list(range(9))
    here = threading.get_ident()
    assert read == [(task, here) for task in range(9)]
    assert here not in worked


@pytest.mark.parametrize("most", [2, 4])
def test_no_more_is_under_way_than_there_is_room_for(most):
    """Sizes count from reading to the end of what is done with a result; what is too large is alone."""
    lock = threading.Lock()
    held, peaks, alone = {}, [], []

    def work(source):
        with lock:
            held[source] = sizes[source]
            peaks.append((len(held), sum(held.values())))
            if sizes[source] > 10:
                alone.append((len(held), threading.current_thread() is threading.main_thread()))
        time.sleep(0.001)
        return source

    sizes = dict(enumerate([4, 4, 4, 9, 1, 1, 1, 1, 50, 2, 50, 5, 5, 5]))
    queue = prefetch(range(len(sizes)), int, work, size=sizes.get, most=most, budget=10)
    for task in sizes:
        assert queue.take() == task
        with lock:
            peaks.append((len(held), sum(held.values())))
            del held[task]
    assert max(total for count, total in peaks if count > 1) <= 10
    assert max(count for count, _ in peaks) <= most + 1
    assert alone == [(1, True)] * 2


def test_late_task_is_not_read_before_the_others_are_done_with():
    seen = []
    queue = prefetch(range(4), lambda task: seen.append(task) or task, late=lambda task: task == 2)
    assert queue.take() == 0
    assert queue.take() == 1
    assert seen == [0, 1]
    assert queue.take() == 2


def test_what_cannot_be_read_early_is_read_in_its_turn():
    """Where memory is short it may be there by then."""
    tries = []

    def read(task):
        tries.append(task)
        if task == 1 and tries.count(1) == 1:
            raise MemoryError
        return task

    assert results(prefetch(range(3), read), 3) == [0, 1, 2]
    assert tries == [0, 1, 1, 2]


def test_interruption_of_reading_is_not_put_off():
    def read(task):
        if task == 1:
            raise KeyboardInterrupt
        return task

    with pytest.raises(KeyboardInterrupt):
        prefetch(range(3), read).take()


def test_thread_that_has_ended_a_job_takes_the_next():
    def job():
        return threading.get_ident()

    threads.begin(job)()
    there = {thread.ident for thread in threading.enumerate()}
    assert {threads.begin(job)() for _ in range(5)} <= there  # no other is started


def test_error_of_a_job_is_raised_where_it_is_waited_for():
    with pytest.raises(ZeroDivisionError):
        threads.begin(lambda: 1 / 0)()
