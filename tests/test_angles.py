import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeloc.angles import angle_of_class, class_centres, class_of_angle, class_width, wrap
from spikeloc.errors import UserError

LIMITS = st.floats(0.1, math.pi)


def test_twelve_classes_of_fifteen_degrees():
    centres = class_centres(12).rad2deg()
    assert centres.tolist() == pytest.approx([-82.5 + 15 * i for i in range(12)])
    assert math.degrees(class_width(12)) == pytest.approx(15)


@given(st.integers(1, 400), LIMITS)
def test_a_class_contains_its_centre(n, limit):
    labels = torch.arange(n)
    assert torch.equal(class_of_angle(angle_of_class(labels, n, limit), n, limit), labels)


@given(st.integers(1, 400), LIMITS)
def test_both_ends_belong_to_the_range(n, limit):
    ends = torch.tensor([-limit, limit], dtype=torch.float64)
    assert class_of_angle(ends, n, limit).tolist() == [0, n - 1]


@given(st.integers(1, 400), LIMITS, st.floats(-1, 1))
def test_no_angle_is_further_from_its_class_than_half_a_width(n, limit, fraction):
    angle = torch.tensor([fraction * limit], dtype=torch.float64)
    distance = (angle - angle_of_class(class_of_angle(angle, n, limit), n, limit)).abs()
    assert distance <= class_width(n, limit) / 2 * (1 + 1e-9)


def test_a_boundary_belongs_to_the_class_on_its_right():
    angle = torch.tensor([-math.pi / 4, 0.0, math.pi / 4], dtype=torch.float64)
    assert class_of_angle(angle, 4).tolist() == [1, 2, 3]


def test_angles_outside_go_to_the_nearest_class():
    assert class_of_angle(torch.tensor([-3.0, 3.0]), 12).tolist() == [0, 11]


def test_labels_are_whole_numbers_of_the_same_shape():
    label = class_of_angle(torch.zeros(3, 2), 12)
    assert label.dtype == torch.int64
    assert label.shape == (3, 2)


def test_refuses_nan_and_absurd_class_counts():
    with pytest.raises(UserError, match="NaN"):
        class_of_angle(torch.tensor([math.nan]), 12)
    with pytest.raises(UserError, match="at least 1"):
        class_of_angle(torch.tensor([0.0]), 0)


@given(st.floats(-100, 100))
def test_wrapping_keeps_the_direction(angle):
    wrapped = wrap(torch.tensor(angle, dtype=torch.float64))
    assert -math.pi <= wrapped < math.pi
    assert math.cos(angle) == pytest.approx(float(wrapped.cos()), abs=1e-9)
    assert math.sin(angle) == pytest.approx(float(wrapped.sin()), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_class_of_a_single_angle_of_any_precision(dtype):
    label = class_of_angle(torch.tensor(0.3, dtype=dtype), 12)
    assert label.shape == ()
    assert label.item() == 7  # from 0.262 to 0.524 rad
