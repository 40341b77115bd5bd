import numpy as np
import pytest
import torch

from spikeloc.compiled import kernel, over_sounds, thread_count, threads_for_loops, trailing_zeros


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


def test_an_error_in_a_thread_is_not_lost():
    def fail(first, last):
        if last == 10:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_sounds(fail, 10)


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
