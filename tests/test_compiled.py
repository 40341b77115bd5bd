import time
from threading import Event, current_thread

import numpy as np
import pytest
import torch

from spikeloc.compiled import kernel, over_sounds, thread_count, threads_for_loops, trailing_zeros


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("chunk", [1, 3, 50])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_sound_is_visited_once_and_ranges_begin_at_chunks(n, chunk, threads):
    seen = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        over_sounds(lambda first, last: seen.append((first, last)), n, chunk=chunk)
    finally:
        torch.set_num_threads(before)
    assert sorted(i for first, last in seen for i in range(first, last)) == list(range(n))
    assert all(first % chunk == 0 for first, last in seen if last > first)


@pytest.mark.parametrize("in_helper", [True, False])
def test_an_error_in_a_thread_is_not_lost(two_threads, in_helper):
    asking, other_came = current_thread(), Event()

    def fail(first, last):
        if (current_thread() is not asking) == in_helper:
            other_came.set()
            raise ZeroDivisionError
        other_came.wait(10)

    with pytest.raises(ZeroDivisionError):
        over_sounds(fail, 10)


def test_what_helpers_took_is_waited_for(two_threads):
    asking, other_came, done = current_thread(), Event(), []

    def call(first, last):
        if current_thread() is asking:
            other_came.wait(10)
        else:
            other_came.set()
            time.sleep(0.05)
        done.append((first, last))

    over_sounds(call, 10)
    assert sum(last - first for first, last in done) == 10


def test_helpers_that_never_come_are_not_waited_for(two_threads):
    """Here the only helper is busy with the work that asks."""
    asking, seen = current_thread(), []

    def call(first, last):
        if current_thread() is asking:
            time.sleep(0.01)
        over_sounds(lambda *_: seen.append(1), 4)

    over_sounds(call, 4)
    assert len(seen) == 16


def test_threads_are_lent_and_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with threads_for_loops():
            assert (torch.get_num_threads(), thread_count()) == (1, 3)
            with threads_for_loops():
                assert (torch.get_num_threads(), thread_count()) == (1, 3)
            assert (torch.get_num_threads(), thread_count()) == (1, 3)
        assert (torch.get_num_threads(), thread_count()) == (3, 3)
    finally:
        torch.set_num_threads(before)


@kernel
def zeros(word):
    return trailing_zeros(word)


@pytest.mark.parametrize("word", [1, 2, 3, 2**31, 2**63, 2**64 - 1, 0b101000])
def test_trailing_zeros(word):
    text = f"{word:064b}"
    assert zeros(np.uint64(word)) == len(text) - len(text.rstrip("0"))


def test_zero_has_64_zeros():
    assert zeros(np.uint64(0)) == 64
