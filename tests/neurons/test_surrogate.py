import math

import pytest
import torch

from spikeloc.neurons.surrogate import SURROGATES, Surrogate, spike

SLOPES = (0.5, 5.0, 100.0)
every_surrogate = pytest.mark.parametrize("surrogate", [Surrogate(n, k) for n in SURROGATES for k in SLOPES], ids=str)


def grid(slope):
    """Both sides of the threshold, away from the corners of triangle and boxcar."""
    return torch.linspace(-3.03 / slope, 3.04 / slope, 400, dtype=torch.float64)


@every_surrogate
def test_forward_is_the_exact_step(surrogate):
    x = torch.tensor([-math.inf, -1.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, math.inf])
    assert surrogate(x).tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


@every_surrogate
def test_gradient_is_the_derivative_of_the_primitive(surrogate):
    x = grid(surrogate.slope).requires_grad_()
    (by_autograd,) = torch.autograd.grad(surrogate.primitive(x).sum(), x)
    (used,) = torch.autograd.grad(spike(x, surrogate).sum(), x)
    torch.testing.assert_close(used, by_autograd, rtol=1e-9, atol=1e-12)
    h = 1e-6 / surrogate.slope
    difference = (surrogate.primitive(x + h) - surrogate.primitive(x - h)) / (2 * h)
    torch.testing.assert_close(used, difference.detach(), rtol=1e-4, atol=1e-4 * surrogate.slope)


@every_surrogate
def test_derivative_is_even_never_negative_and_largest_at_threshold(surrogate):
    x = grid(surrogate.slope)
    slope = surrogate.derivative(x)
    torch.testing.assert_close(slope, surrogate.derivative(-x))
    assert (slope >= 0).all()
    assert (slope <= surrogate.derivative(torch.zeros(1, dtype=torch.float64)) + 1e-12).all()


PEAK_AND_AREA = {
    "superspike": lambda k: (1, 2 / k),
    "sigmoid": lambda k: (k / 4, 1),
    "arctan": lambda k: (k / 2, 1),
    "triangle": lambda k: (k, 1),
    "gaussian": lambda k: (k / math.sqrt(math.pi), 1),
    "boxcar": lambda k: (k, 1),
}


@every_surrogate
def test_peak_and_area_are_as_documented(surrogate):
    peak, area = PEAK_AND_AREA[surrogate.name](surrogate.slope)
    ends = torch.tensor([-1e9, 0.0, 1e9], dtype=torch.float64)
    assert float(surrogate.derivative(ends)[1]) == pytest.approx(peak)
    assert float(surrogate.primitive(ends)[2] - surrogate.primitive(ends)[0]) == pytest.approx(area, rel=1e-6)


@every_surrogate
def test_no_nan_far_from_threshold(surrogate):
    x = torch.tensor([-1e30, -1e4, 1e4, 1e30], requires_grad=True)
    surrogate(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_the_seeds_gradient():
    x = torch.tensor([-0.02, 0.0, 0.03])
    assert Surrogate().derivative(x).tolist() == pytest.approx([1 / 9, 1, 1 / 16])


def test_a_gradient_with_the_wrong_slope_fails_the_test_above():
    x = grid(5.0).requires_grad_()
    (used,) = torch.autograd.grad(spike(x, Surrogate("sigmoid", 5.0)).sum(), x)
    assert not torch.allclose(used, Surrogate("sigmoid", 6.0).derivative(x))


def test_refuses_unknown_names_and_slopes():
    with pytest.raises(ValueError, match="choose one of superspike"):
        Surrogate("relu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        Surrogate("sigmoid", 0.0)
