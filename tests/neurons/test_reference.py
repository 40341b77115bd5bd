"""The definition: hand-computed traces, exact solutions, and gradients against finite differences."""

import math

import pytest
import torch

from spikeloc.neurons import LIF, Surrogate
from spikeloc.neurons.models import RESETS, decay
from spikeloc.neurons.reference import leaky_trace, lif_layer, weighted_counts
from spikeloc.spikes import SpikeEvents

DT = 1e-3
HALF = DT / math.log(2)  # a time constant with decay exactly 1/2 in one step


def one_neuron(inputs, reset, weight=1.0):
    """Membranes and spikes of a neuron that receives ``inputs`` one by one."""
    spikes = torch.tensor(inputs, dtype=torch.float64).reshape(1, -1, 1)
    weights = torch.tensor([[weight]], dtype=torch.float64)
    out = lif_layer(spikes, weights, LIF(HALF, reset), DT, want_spikes=True, want_membrane=True)
    return out.membrane.flatten().tolist(), out.spikes.flatten().tolist()


# Weight 1.5, a = 1/2, one input per step where the train has a 1. Computed by hand.
TRACES = {
    #                 inputs            v before the reset                        spikes
    "zero": ([1, 0, 1, 1, 0], [1.5, 0.0, 1.5, 1.5, 0.0], [1, 0, 1, 1, 0]),
    "subtract": ([1, 0, 1, 1, 0], [1.5, 0.25, 1.625, 1.8125, 0.40625], [1, 0, 1, 1, 0]),
    "late_zero": ([1, 1, 1, 1, 0], [1.5, 2.25, 0.0, 0.0, 0.0], [1, 1, 0, 0, 0]),
    "late_subtract": ([1, 1, 1, 0, 0], [1.5, 2.25, 1.625, -0.1875, -1.09375], [1, 1, 1, 0, 0]),
}


@pytest.mark.parametrize("reset", RESETS)
def test_hand_computed_trace(reset):
    inputs, membrane, spikes = TRACES[reset]
    v, s = one_neuron(inputs, reset, weight=1.5)
    assert v == pytest.approx(membrane)
    assert s == spikes


def test_threshold_itself_does_not_spike():
    assert one_neuron([1], "zero", weight=1.0)[1] == [0]
    assert one_neuron([1], "zero", weight=1.0 + 1e-12)[1] == [1]


def test_without_spikes_the_membrane_is_the_leaky_integral():
    generator = torch.Generator().manual_seed(1)
    x = (torch.rand(2, 30, 5, generator=generator) < 0.3).double()
    w = torch.rand(5, 3, generator=generator).double() * 0.01
    v = lif_layer(x, w, LIF(5e-3), DT, want_membrane=True).membrane
    a = decay(5e-3, DT)
    lag = torch.arange(30)[:, None] - torch.arange(30)[None]
    kernel = torch.where(lag >= 0, a ** lag.clamp(min=0).double(), 0.0)
    torch.testing.assert_close(v, torch.einsum("ts,bsn,nh->bth", kernel, x, w))


def test_constant_drive_fires_at_the_exact_interval():
    # v_n = i (1 - a^n) / (1 - a) first exceeds 1 at n = 5 for a = 1/2, i = 0.51: 1.02 (1 - 2^-n) > 1 needs n >= 6.
    spikes = one_neuron([0.51] * 18, "zero")[1]
    assert [step + 1 for step, spike in enumerate(spikes) if spike] == [6, 12, 18]


def test_sums_are_sums_of_spikes():
    _, _, out = random_layer(time_weights=True)
    c = torch.stack([torch.ones(9), torch.linspace(0, 1, 9)]).double()
    torch.testing.assert_close(torch.stack(out.sums), torch.einsum("kt,bth->kbh", c, out.spikes))


SMOOTH = Surrogate("sigmoid", 2.0)


def random_layer(reset="zero", time_weights=False, reset_gradient=True, surrogate=SMOOTH):
    generator = torch.Generator().manual_seed(3)
    x = (torch.rand(3, 9, 4, generator=generator) < 0.5).double()
    w = torch.randn(4, 5, generator=generator).double().requires_grad_()
    c = torch.stack([torch.ones(9), torch.linspace(0, 1, 9)]).double() if time_weights else None
    neuron = LIF(3e-3, reset, surrogate, reset_gradient)
    return x, w, lif_layer(x, w, neuron, DT, time_weights=c, want_spikes=True, want_membrane=True)


class Smooth(Surrogate):
    """A neuron whose spike *is* the primitive, so that autograd differentiates it exactly."""

    def __call__(self, x):
        return self.primitive(x)


@pytest.mark.parametrize("reset", RESETS)
def test_gradient_of_the_smooth_network_is_exact(reset):
    x, w, _ = random_layer()
    neuron = LIF(3e-3, reset, Smooth("sigmoid", 2.0))
    c = torch.linspace(0.5, 1, 9).double()[None]

    def loss(weights, spikes):
        return lif_layer(spikes, weights, neuron, DT, time_weights=c).sums[0].square().sum()

    assert torch.autograd.gradcheck(loss, (w, x.clone().requires_grad_()))


def test_reset_gradient_can_be_cut():
    gradients = []
    for flag in (True, False):
        _, w, out = random_layer(reset_gradient=flag)
        gradients.append(torch.autograd.grad(out.spikes.sum(), w)[0])
    assert not torch.allclose(*gradients)


def test_events_and_tensors_are_the_same_input():
    x, w, out = random_layer()
    again = lif_layer(SpikeEvents.from_dense(x), w, LIF(3e-3, "zero", Surrogate("sigmoid", 2.0)), DT, want_spikes=True)
    assert torch.equal(again.spikes, out.spikes)


def test_leaky_trace_of_one_spike_is_an_exponential():
    x = torch.zeros(1, 6, 1, dtype=torch.float64)
    x[0, 1] = 1
    u = leaky_trace(x, torch.tensor([[2.0]], dtype=torch.float64), HALF, DT)
    assert u.flatten().tolist() == pytest.approx([0, 1, 0.5, 0.25, 0.125, 0.0625])


def test_weighted_counts():
    x = torch.tensor([[[1, 0], [1, 1], [0, 1]]]).bool()
    c = torch.tensor([[1.0, 1, 1], [1, 10, 100]])
    assert weighted_counts(x, c).tolist() == [[[2, 2], [11, 110]]]


def test_floor_by_hand_and_no_gradient_on_it():
    """a = 1/2, weight -1: without a floor -1, -1.5, -1.75; with one at -1.25 it stops there, as does the gradient."""
    w = torch.tensor([[-1.0]], dtype=torch.float64, requires_grad=True)
    neuron = LIF(HALF, "subtract", Surrogate("sigmoid", 1.0), floor=-1.25)
    out = lif_layer(torch.ones(1, 3, 1).double(), w, neuron, DT, want_spikes=True, want_membrane=True)
    assert out.membrane.flatten().tolist() == [-1, -1.25, -1.25]
    (gradient,) = torch.autograd.grad(out.spikes.sum(), w)
    assert gradient.item() == pytest.approx(Surrogate("sigmoid", 1.0).derivative(torch.tensor(-2.0)).item())


@pytest.mark.parametrize("drive", [0.07, 0.31, 0.83, -0.4])
def test_with_floor_subtraction_and_no_leak_a_count_is_the_rectified_integral(drive):
    x = torch.ones(1, 100, 1, dtype=torch.float64)
    neuron = LIF(1e9, "subtract", floor=0.0)
    out = lif_layer(x, torch.tensor([[drive]], dtype=torch.float64), neuron, DT, time_weights=torch.ones(1, 100))
    assert abs(out.sums[0].item() - max(0.0, drive) * 100) <= 1 + 1e-9


def test_refuses_impossible_neurons():
    with pytest.raises(ValueError, match="positive"):
        LIF(0.0)
    with pytest.raises(ValueError, match="choose one of zero"):
        LIF(1e-3, "never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at rest"):
        LIF(1e-3, floor=0.5)
