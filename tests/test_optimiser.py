import copy

import pytest
import torch

from spikeloc.optimiser import Adam

SHAPES = [(7, 5), (200, 30), (1, 1), (3,)]


def parameters(dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in SHAPES]


def give_gradients(tensors, generator):
    for tensor in tensors:
        tensor.grad = 10 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)


def train(optimiser, rates, seed):
    generator = torch.Generator().manual_seed(seed)
    for rate in rates:
        give_gradients(optimiser.parameters, generator)
        optimiser.step(rate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_adam(dtype):
    """As PyTorch has it, with a step size that changes."""
    mine, other = parameters(dtype), parameters(dtype)
    adam, expected = Adam(mine), torch.optim.Adam(other, lr=1.0)
    generator = torch.Generator().manual_seed(1)
    for t in range(300):
        give_gradients(mine, generator)
        for a, b in zip(mine, other, strict=True):
            b.grad = a.grad.clone()
        rate = 0.01 / (1 + t)
        expected.param_groups[0]["lr"] = rate
        adam.step(rate)
        expected.step()
    for a, b in zip(mine, other, strict=True):
        rtol, atol = (1e-4, 1e-6) if dtype == torch.float32 else (1e-12, 1e-14)
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


def test_float32_follows_float64():
    """The compiled loop and plain PyTorch compute the same."""
    single = parameters(torch.float32)
    double = [w.detach().double().requires_grad_() for w in single]
    one, two = Adam(single), Adam(double)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        give_gradients(single, generator)
        for a, b in zip(single, double, strict=True):
            b.grad = a.grad.double()
        one.step(0.01)
        two.step(0.01)
    for a, b in zip(single, double, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


def test_the_first_step_is_the_rate_whatever_the_gradient():
    w = torch.zeros(4, requires_grad=True)
    w.grad = torch.tensor([1e-3, 1.0, -1e3, 0.0])
    Adam([w]).step(0.1)
    torch.testing.assert_close(w.detach(), torch.tensor([-0.1, -0.1, 0.1, 0.0]), rtol=1e-4, atol=0)


def test_parameters_that_are_not_contiguous_are_updated_too():
    plain = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    turned = plain.t().contiguous().t().requires_grad_()
    plain.requires_grad_()
    generator = torch.Generator().manual_seed(1)
    one, two = Adam([plain]), Adam([turned])
    for _ in range(5):
        give_gradients([plain], generator)
        turned.grad = plain.grad.clone()
        one.step(0.01)
        two.step(0.01)
    torch.testing.assert_close(plain, turned, rtol=1e-5, atol=1e-6)


def test_without_a_gradient_nothing_happens():
    tensors = parameters(torch.float32)
    before = copy.deepcopy(tensors)
    adam = Adam(tensors)
    give_gradients(tensors, torch.Generator().manual_seed(0))
    adam.clear()
    adam.step(0.01)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    assert adam.state() == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_goes_on_bit_for_bit(dtype):
    whole = Adam(parameters(dtype))
    train(whole, [0.01] * 5, seed=1)
    state = {name: value.clone() for name, value in whole.state().items()}
    other = Adam([w.detach().clone().requires_grad_() for w in whole.parameters])
    other.load(state)
    train(whole, [0.02] * 5, seed=2)
    train(other, [0.02] * 5, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters, other.parameters, strict=True))
    assert whole.state().keys() == other.state().keys()
    assert all(torch.equal(whole.state()[name], value) for name, value in other.state().items())
