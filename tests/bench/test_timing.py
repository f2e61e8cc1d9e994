"""A benchmark is believed for how it measures: turns, checks before times, memory, and rates from times."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import tracemalloc
from contextlib import contextmanager, nullcontext
from dataclasses import asdict

import numpy as np
import pytest
from oracle import assert_matches, convolve_exactly

from convcli.bench import calibration, cases
from convcli.bench.contestants import Contestant, Task
from convcli.bench.memory import measured
from convcli.bench.results import Case
from convcli.bench.run_case import reference, run_case
from convcli.bench.timer import Repeats, take_turns
from convcli.engine import rates as profile
from convcli.errors import BackendError, ConvcliError, InputError, LimitError, UsageError
from convcli.kernels import parse_kernel

# Turns


class Clock:
    """Stands still but for what its calls take; remembers who ran."""

    def __init__(self):
        self.now = 1000.0
        self.log = []

    def __call__(self):
        return self.now

    def call(self, name, *seconds):
        """Return a call that takes those times, one after the other and then from the start."""
        durations = itertools.cycle(seconds)

        def run():
            self.now += next(durations)
            self.log.append(name)

        return run


def turns(repeats, **durations):
    """Time calls of known durations; return their times and the order in which they ran."""
    clock = Clock()
    times = take_turns({name: clock.call(name, *d) for name, d in durations.items()}, repeats, clock=clock)
    return times, "".join(clock.log)


def test_calls_run_in_turns_and_every_run_has_its_own_time():
    times, order = turns(Repeats(0, 3, 3, 0.0), a=(1, 2, 4), b=(0.5,))
    assert times == {"a": [1, 2, 4], "b": [0.5, 0.5, 0.5]}
    assert order == "ababab"


def test_warming_up_is_neither_timed_nor_counted():
    times, order = turns(Repeats(2, 2, 9, 3.0), a=(100, 100, 1, 2, 4), b=(50, 50, 3))
    assert times == {"a": [1, 2], "b": [3, 50]}
    assert order == "abab" + "abab"


@pytest.mark.parametrize(
    ("repeats", "seconds", "runs"),
    [
        (Repeats(0, 2, 10, 0.0), 1, 2),
        (Repeats(0, 1, 10, 0.0), 1, 1),
        (Repeats(0, 2, 10, 5.0), 1, 5),
        (Repeats(0, 2, 10, 4.5), 1, 5),
        (Repeats(0, 2, 10, 100.0), 1, 10),
        (Repeats(0, 4, 10, 0.5), 1, 4),
        (Repeats(0, 7, 7, 0.0), 1, 7),
        (Repeats(0, 7, 7, 100.0), 1, 7),
        (Repeats(), 0.0625, 8),
        (Repeats(), 2, 5),
    ],
    ids=str,
)
def test_runs_go_on_for_the_time_within_the_bounds_of_their_number(repeats, seconds, runs):
    times, _ = turns(repeats, a=(seconds,))
    assert times == {"a": [seconds] * runs}


def test_whoever_is_through_drops_out_and_the_others_go_on():
    times, order = turns(Repeats(0, 1, 10, 4.0), a=(4,), b=(1,), c=(2,))
    assert {name: len(found) for name, found in times.items()} == {"a": 1, "b": 4, "c": 2}
    assert order == "abc" + "bc" + "b" + "b"


@pytest.mark.parametrize(
    ("runs", "spent", "enough"),
    [(2, 0.5, False), (3, 0.49, False), (3, 0.5, True), (9, 0.49, False), (10, 0.0, True), (0, 9.0, False)],
)
def test_enough_is_both_the_least_number_and_the_time_or_the_largest_number(runs, spent, enough):
    assert Repeats(0, 3, 10, 0.5).enough([0.1] * runs, spent) is enough


@pytest.mark.parametrize("repeats", [Repeats(1, 2, 6, 0.0), Repeats(0, 2, 6, 4.0), Repeats(0, 2, 6, 99.0)])
def test_shares_of_progress_rise_to_1_and_only_the_last_is_1(repeats):
    clock, told = Clock(), {"a": [], "b": []}
    calls = {"a": clock.call("a", 1), "b": clock.call("b", 2)}
    times = take_turns(calls, repeats, clock=clock, done=lambda name, share: told[name].append(share))
    for name, shares in told.items():
        assert len(shares) == len(times[name])
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert all(0 < share < 1 for share in shares[:-1])


# Memory

MEGABYTES = 64


def test_memory_of_an_array_is_its_size_and_nothing_that_was_there_before():
    held = np.ones(2 * 10**7)
    result, allocated, resident = measured(lambda: np.ones(MEGABYTES * 10**6, np.uint8))
    assert result.nbytes == MEGABYTES * 10**6
    assert MEGABYTES * 10**6 <= allocated < MEGABYTES * 10**6 + 10**5
    # What other tests left may be given back meanwhile.
    assert resident is None or 0.75 * MEGABYTES <= resident / 1e6 < held.nbytes / 1e6
    assert not tracemalloc.is_tracing()


def test_memory_is_that_of_the_peak_though_it_was_given_back():
    total, allocated, _ = measured(lambda: np.ones(10**6, np.uint8).sum())
    assert total == 10**6
    assert 10**6 <= allocated < 1.1 * 10**6
    _, allocated, _ = measured(lambda: None)
    assert allocated < 10**4


def test_memory_is_measured_amid_a_trace_of_somebody_else():
    tracemalloc.start()
    try:
        held = [np.ones(2 * 10**6, np.uint8), np.ones(10**6, np.uint8)]
        del held[0]  # a peak before does not count
        _, allocated, _ = measured(lambda: np.ones(10**6, np.uint8))
        assert 10**6 <= allocated < 1.1 * 10**6
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_memory_is_no_longer_traced_after_an_error():
    with pytest.raises(ZeroDivisionError):
        measured(lambda: 1 / 0)
    assert not tracemalloc.is_tracing()


# Cases


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7", [(7, 7)]),
        ("3x5", [(3, 5)]),
        ("3×5", [(3, 5)]),
        (" 8 , 4x2 ", [(8, 8), (4, 2)]),
        ("3:5", [(3, 3), (4, 4), (5, 5)]),
        ("3:8:2", [(3, 3), (5, 5), (7, 7)]),
        ("4:4:9", [(4, 4)]),
        ("5,3:5,5", [(5, 5), (3, 3), (4, 4)]),
        ("1,1048576", [(1, 1), (2**20, 2**20)]),
    ],
)
def test_sizes_are_read(text, found):
    assert cases.shapes(text, "size") == found


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UsageError, 'size "" is not a size; write for example 256, 256,512 or 3:31:4'),
        ("a", UsageError, 'size "a" is not a size'),
        ("-3", UsageError, 'size "-3" is not a size'),
        ("3.5", UsageError, 'size "3.5" is not a size'),
        ("3x", UsageError, 'size "3x" is not a size'),
        ("3x4x5", UsageError, 'size "3x4x5" is not a size'),
        ("1:2:3:4", UsageError, 'size "1:2:3:4" is not a size'),
        ("3,,4", UsageError, 'size "" is not a size'),
        ("³", UsageError, 'size "³" is not a size'),
        ("0", UsageError, "size 0 is not between 1 and 1048576"),
        ("4x0", UsageError, "size 0 is not between 1 and 1048576"),
        ("1048577", UsageError, "size 1048577 is not between 1 and 1048576"),
        ("3:1", UsageError, "size 3:1 is empty: write first:last:step, with a step of at least 1"),
        ("3:9:0", UsageError, "size 3:9:0 is empty"),
        ("1:1001", LimitError, "size 1:1001 are 1001 sizes, more than 1000; use a larger step"),
        ("1:600,1:600:1", LimitError, "are 1200 sizes, more than 1000"),
    ],
)
def test_what_is_no_size_is_refused(text, error, message):
    with pytest.raises(error) as refusal:
        cases.shapes(text, "size")
    assert message in str(refusal.value)


def test_counts_are_read_like_sizes_but_have_one_number():
    assert cases.counts("1,2,4:8:2,2", "threads") == [1, 2, 4, 6, 8]
    with pytest.raises(UsageError, match='threads "2x2" is not a size'):
        cases.counts("2x2", "threads")
    with pytest.raises(UsageError, match="threads 0 is not between 1 and"):
        cases.counts("0", "threads")


def test_words_are_of_those_allowed_and_stand_once():
    assert cases.words("fft, auto,fft", ["auto", "fft"], "backend") == ["fft", "auto"]
    for text in ("fft,", "", "FFT", "fft;auto"):
        with pytest.raises(UsageError, match=r'unknown backend ".*"; .*use one of auto, fft'):
            cases.words(text, ["auto", "fft"], "backend")


KERNELS = {
    "box:3": (3, 3),
    "1 2 3 4; 5 6 7 8": (2, 4),
    "sobel-x": (3, 3),
    "gaussian:1,5": (5, 5),
    (4, 3): (4, 3),
}


@pytest.mark.parametrize("threads", [(1,), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("dtypes", [("uint8",), cases.DTYPES], ids=str)
@pytest.mark.parametrize("shapes", [((9, 8),), ((16, 16), (9, 8), (5, 12))], ids=str)
@pytest.mark.parametrize(
    "kernels",
    [(*KERNELS,), (*reversed(KERNELS),), ("box:3",), ("box:3", "1 2 3 4; 5 6 7 8", "box:3")],
    ids=["all", "reversed", "one", "repeated"],
)
def test_every_case_of_a_scan_has_its_own_kernel_and_image(kernels, shapes, dtypes, threads):
    scan = cases.Scan(kernels, shapes, dtypes, threads)
    problems = list(scan.tasks())
    assert [task.case for task in problems] == scan.cases()
    different = list(dict.fromkeys(kernels))
    assert (
        len(set(scan.cases())) == len(problems) == math.prod(map(len, (different, shapes, dtypes, threads)))
    )
    drawn = {}
    for number, task in enumerate(problems):
        case, kernel = task.case, different[number // len(threads) % len(different)]
        assert case.kernel == (kernel if isinstance(kernel, str) else "random")
        assert task.kernel.shape == case.kernel_shape == KERNELS[kernel]
        if isinstance(kernel, str):
            assert np.array_equal(task.kernel, parse_kernel(kernel).weights)
        assert (task.image.shape, task.image.dtype) == ((1, *case.shape), case.dtype)
        assert np.array_equal(task.image, drawn.setdefault((case.shape, case.dtype), task.image))
    assert len(drawn) == len(shapes) * len(dtypes)


def test_cases_go_through_sizes_first_and_threads_last():
    scan = cases.Scan([(3, 3), (5, 5)], [(8, 8), (9, 9)], ["float32", "uint8"], [1, 2])
    found = [(case.shape[0], case.dtype, case.kernel_shape[0], case.threads) for case in scan.cases()]
    assert found == [*itertools.product((8, 9), ("float32", "uint8"), (3, 5), (1, 2))]


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_an_image_takes_the_place_of_random_ones(dtype):
    image = np.arange(2 * 5 * 7, dtype=np.uint8).reshape(2, 5, 7)
    scan = cases.Scan(["box:3"], [(512, 512)], [dtype], image=image, name="photo.png")
    (task,) = scan.tasks()
    assert (task.case.image, task.case.planes, task.case.shape) == ("photo.png", 2, (5, 7))
    assert task.image.dtype == dtype
    assert np.array_equal(task.image, image)


def test_random_data_are_the_same_every_time():
    first, second = (list(cases.Scan([(3, 4)], [(6, 7)], cases.DTYPES).tasks()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.kernel, other.kernel)


def test_kernels_of_a_scan_have_two_axes(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((3, 3, 3)))
    with pytest.raises(UsageError, match=r"has 3 axes \(3×3×3\); bench takes kernels of 2"):
        cases.Scan([str(tmp_path / "cube.npy")], [(8, 8)])
    with pytest.raises(InputError, match="no such file"):
        cases.Scan([str(tmp_path / "none.npy")], [(8, 8)])


# Races


def task_of(image_shape=(2, 6, 7), kernel_shape=(3, 3), dtype="float64"):
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, image_shape).astype(dtype)
    case = Case("random", image_shape[0], image_shape[1:], "random", kernel_shape, dtype, 1)
    return Task(case, image, rng.standard_normal(kernel_shape))


TASK = task_of()
RIGHT = reference(TASK)
TWICE = Repeats(0, 2, 2, 0.0)


class Scripted(Contestant):
    def __init__(self, name, kind, refusal, prepare, plan):
        self.name, self.kind, self.refusal, self.prepare, self.decision = name, kind, refusal, prepare, plan

    def refuses(self, _):
        return self.refusal

    def plan(self, task):
        return f"{self.decision} for {task.case.kernel}"


def contestant(name, call, *, kind="backend", refuses=None, prepare=None, plan=""):
    return Scripted(name, kind, refuses, prepare or (lambda _: nullcontext(call)), plan)


def raises(error):
    def call(*_):
        raise error

    return call


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(
    ("image_shape", "kernel_shape"),
    [
        ((1, 9, 11), (3, 3)),
        ((2, 7, 8), (4, 2)),
        ((1, 6, 9), (2, 5)),
        ((2, 4, 5), (9, 7)),
        ((1, 3, 2), (8, 6)),
    ],
    ids=["odd", "even", "mixed", "larger than the image", "larger and even"],
)
def test_the_reference_is_right(image_shape, kernel_shape, dtype):
    task = task_of(image_shape, kernel_shape, dtype)
    found = reference(task)
    assert found.dtype == np.float64
    assert_matches(found, convolve_exactly(task.image, task.kernel), "fft")


def test_times_are_those_of_the_clock_after_a_run_to_check_and_one_to_measure():
    clock = Clock()
    calls = {"a": clock.call("a", 9, 9, 1, 2), "b": clock.call("b", 9, 9, 4, 8)}
    rivals = [contestant(name, lambda call=call: call() or RIGHT, plan=name) for name, call in calls.items()]
    told = []
    found = run_case(TASK, rivals, TWICE, clock=clock, done=lambda *news: told.append(news))
    assert [(r.name, r.times, r.skipped) for r in found] == [("a", (1, 2), None), ("b", (4, 8), None)]
    assert clock.log == ["a", "a", "b", "b", "a", "b", "a", "b"]
    assert [r.plan for r in found] == ["a for random", "b for random"]
    assert all(r.case is TASK.case and r.max_error == 0 for r in found)
    assert [news for news in told if news[1] == 1] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (RIGHT * 1.5, "wrong: off by 0.5 of the largest value"),
        (RIGHT[:, ::-1], "wrong: off by "),
        (np.full_like(RIGHT, np.nan), "wrong: off by nan of the largest value"),
    ],
    ids=["half as much again", "upside down", "NaN"],
)
def test_whose_result_is_wrong_is_never_timed(wrong, text):
    ran, told = [], []
    rivals = [contestant("good", lambda: RIGHT), contestant("bad", lambda: ran.append(1) or wrong)]
    good, bad = run_case(TASK, rivals, TWICE, done=lambda *news: told.append(news))
    assert len(good.times) == 2
    assert (bad.times, bad.plan, len(ran)) == ((), "", 1)
    assert bad.skipped.startswith(text)
    assert ("bad", 1.0) in told


def test_rounding_is_not_wrong():
    close = RIGHT + 0.01 * np.abs(RIGHT).max()
    (found,) = run_case(TASK, [contestant("close", lambda: close, kind="peer")], TWICE)
    assert (len(found.times), found.skipped, found.max_error) == (2, None, pytest.approx(0.01))


def test_a_backend_of_ours_has_no_excuse_for_rounding():
    close = RIGHT + 0.01 * np.abs(RIGHT).max()
    (found,) = run_case(TASK, [contestant("close", lambda: close)], TWICE)
    assert (found.times, found.skipped) == ((), "wrong: off by 0.01 of the largest value")


def test_a_peer_that_fails_later_is_dropped_and_the_others_go_on():
    answers = iter([RIGHT, RIGHT, RIGHT])
    rivals = [contestant("weak", lambda: next(answers), kind="peer"), contestant("a", lambda: RIGHT)]
    weak, strong = run_case(TASK, rivals, TWICE)
    assert (weak.times, weak.skipped) == ((), "failed: StopIteration: ")
    assert len(strong.times) == 2
    answers = iter([RIGHT, RIGHT, RIGHT])
    with pytest.raises(StopIteration):
        run_case(TASK, [contestant("ours", lambda: next(answers))], TWICE)


@pytest.mark.parametrize("where", ["prepare", "call"])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BackendError("it cannot, for a reason"), "it cannot, for a reason"),
        (LimitError("too much"), "too much"),
        (ConvcliError("no"), "no"),
        (MemoryError(), "out of memory"),
        (MemoryError("Unable to allocate 9 GiB"), "Unable to allocate 9 GiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_who_fails_is_skipped_with_the_reason_and_the_others_run(where, error, text):
    failing = contestant("bad", raises(error), prepare=raises(error) if where == "prepare" else None)
    rivals = [contestant("first", lambda: RIGHT), failing, contestant("last", lambda: RIGHT)]
    found = run_case(TASK, rivals, TWICE)
    assert [(r.name, len(r.times), r.skipped) for r in found] == [
        ("first", 2, None),
        ("bad", 0, text),
        ("last", 2, None),
    ]


def test_who_refuses_is_not_even_prepared():
    refusing = contestant("cuda", None, refuses="there is no GPU", prepare=raises(AssertionError()))
    found = run_case(TASK, [refusing, contestant("direct", lambda: RIGHT)], TWICE)
    assert [(r.name, r.skipped) for r in found] == [("cuda", "there is no GPU"), ("direct", None)]
    (alone,) = run_case(TASK, [refusing], TWICE)
    assert (alone.times, alone.max_error, alone.peak_bytes) == ((), None, None)


def test_everybody_is_tidied_up_after_the_last_run():
    log = []

    @contextmanager
    def prepare(task):
        assert task is TASK
        log.append("enter")
        yield lambda: log.append("run") or RIGHT
        log.append("exit")

    run_case(TASK, [contestant("a", None, prepare=prepare), contestant("b", None, prepare=prepare)], TWICE)
    assert log == ["enter", "run", "run"] * 2 + ["run"] * 4 + ["exit"] * 2


def test_memory_is_told_of_this_process_alone():
    rivals = [contestant(kind, RIGHT.copy, kind=kind) for kind in ("backend", "peer", "process")]
    ours, peer, program = run_case(TASK, rivals, TWICE)
    assert ours.allocated_bytes >= RIGHT.nbytes
    assert peer.allocated_bytes >= RIGHT.nbytes
    assert program.peak_bytes is None


# Calibration


@pytest.fixture
def small(monkeypatch):
    """Calibrate on small problems alone, and take what imports cost for granted."""
    for module in calibration._imports():
        importlib.import_module(module)
    monkeypatch.setattr(calibration, "SIZES", (32, 64))
    monkeypatch.setattr(calibration, "KERNELS", (3, 9, 25))
    monkeypatch.setattr(calibration, "_import_seconds", lambda module: len(module) / 64)


def owned():
    """Rates that are fitted, as shipped."""
    return {key: rate for key, rate in calibration.shipped().items() if not key[1].startswith("import ")}


def test_rates_are_recovered_from_times_that_are_made_of_them():
    rng = np.random.default_rng(3)
    truth = {key: rate * rng.uniform(0.2, 5) for key, rate in owned().items()}
    keys, counts = [*truth], []
    for _ in range(400):
        some = rng.choice(len(keys), 3, replace=False)
        counts.append({keys[i]: rng.uniform(0.1, 10) / truth[keys[i]] for i in some})
    times = [sum(truth[key] * n for key, n in run.items()) * rng.normal(1, 0.02) for run in counts]
    found = calibration.fit(counts, times)
    assert found.keys() == truth.keys()
    for key, rate in truth.items():
        assert found[key] == pytest.approx(rate, rel=0.1), key


def test_rates_are_never_negative():
    slow, free = ("direct", "call"), ("direct", "multiply_add")
    counts = [{slow: 10.0**5 * n} for n in range(1, 9)] + [
        {slow: 10.0**5 * n, free: 10.0**9} for n in range(1, 9)
    ]
    found = calibration.fit(counts, [1.0 * n for n in range(1, 9)] + [0.5 * n for n in range(1, 9)])
    assert min(found.values()) >= 0
    assert found[slow] == pytest.approx(0.75e-5, rel=0.3)


def test_rates_that_were_not_measured_follow_the_pace_of_those_that_were():
    shipped = owned()
    rate = shipped.pop(("fft", "pass"))
    found = calibration.fit([{("fft", "pass"): 1e6}] * 20, [2e6 * rate] * 20)
    assert found.pop(("fft", "pass")) == pytest.approx(2 * rate, rel=0.05)
    assert found == pytest.approx({what: 2 * seconds for what, seconds in shipped.items()})
    assert calibration.fit([], []) == pytest.approx(owned())


@pytest.mark.usefixtures("small")
def test_estimates_of_real_runs_follow_a_machine_with_other_rates():
    rng = np.random.default_rng(4)
    truth = {key: rate * rng.uniform(0.3, 3) for key, rate in owned().items()}
    counts = [sample.counts for sample in calibration.samples(2)]
    times = [sum(truth[key] * n for key, n in run.items()) for run in counts]
    found = calibration.fit(counts, times)
    estimates = np.array([sum(found[key] * n for key, n in run.items()) for run in counts])
    assert np.median(estimates / times) == pytest.approx(1, rel=0.03)
    assert estimates == pytest.approx(times, rel=0.25)


@pytest.mark.usefixtures("small")
def test_samples_keep_the_limit_and_are_computed_as_they_say():
    found = list(calibration.samples(1, limit=2e-3))
    assert len(found) > 20
    assert {sample.candidate.backend for sample in found} >= {"direct", "fft", "im2col", "toeplitz"}
    rates = calibration.shipped()
    for sample in found:
        assert 0 < sample.seconds <= 2e-3
        assert sample.seconds == pytest.approx(sum(rates[key] * n for key, n in sample.counts.items()))
        assert sample.convolution.plan.chosen is sample.candidate
    assert len(found) < len(list(calibration.samples(1)))


@pytest.mark.usefixtures("small")
def test_calibrating_gives_a_profile_that_can_be_read_again():
    told = []
    totals = []
    made = calibration.calibrate(
        threads=1, budget=0.05, begin=lambda total: totals.append(total) or told.append
    )
    assert [len(told)] == totals
    assert told
    again = profile.parse(json.dumps(asdict(made)).encode())
    assert asdict(again) == asdict(made)
    assert (made.cpu, made.threads, made.numpy) == (profile.cpu_name(), 1, np.__version__)
    assert {(o, what) for o, group in made.rates.items() for what in group} == calibration.shipped().keys()
    assert made.rates["fft"]["import scipy.fft"] == pytest.approx(len("scipy.fft") / 64, rel=1e-3)


@pytest.mark.usefixtures("small")
def test_calibrating_goes_by_its_clock():
    """On this one every run takes a millisecond."""
    ticks = itertools.count()
    made = calibration.calibrate(threads=1, budget=0.05, clock=lambda: next(ticks) * 1e-3)
    estimates = [
        sum(made.rates[owner][what] * n for (owner, what), n in sample.counts.items())
        for sample in calibration.samples(1)
        if sample.seconds < 1e-3
    ]
    assert np.median(estimates) == pytest.approx(1e-3, rel=0.2)


@pytest.mark.usefixtures("small")
def test_without_time_nothing_changes():
    made = calibration.calibrate(threads=1, budget=0.0)
    found = {(owner, what): rate for owner, group in made.rates.items() for what, rate in group.items()}
    assert {key: found[key] for key in owned()} == pytest.approx(owned(), rel=1e-3)


def test_imports_are_timed_in_processes_of_their_own():
    assert 0 < calibration._import_seconds("colorsys") < 1
