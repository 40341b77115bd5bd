"""The fused engine against the reference, which defines what is right.

Weights that are multiples of 1/1024 make every sum of weights exact whatever its order, so membranes and spikes must be
equal to the last bit. Gradients are sums in another order: each of the products and sums on the way rounds by up to
6e-8 of the largest term, and hundreds of them meet, so they must agree to TOLERANCE of the largest gradient (that of
spikes and weights together: through resets, one may grow over time and then meet few events).
"""

import itertools
import math

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spikeloc.neurons import LIF, Surrogate, fused, fused_layer, reference
from spikeloc.neurons.models import RESETS
from spikeloc.neurons.surrogate import SURROGATES
from spikeloc.spikes import SpikeEvents

DT = 1e-3
NEURON = LIF(0.01)
TOLERANCE = 3e-5
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def _one_thread():
    """Small problems: the reference is faster on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@st.composite
def layers(draw):
    """Spikes [B, T, N], exact weights [N, H], and a generator for what else is random."""
    n_sounds, n_steps = draw(st.integers(1, 5)), draw(st.integers(1, 20) | st.integers(120, 140))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shape = n_sounds, n_steps, draw(st.integers(1, 12) | st.integers(30, 70))
    n_neurons = draw(st.integers(1, 8) | st.integers(28, 70))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    spikes = (torch.rand(shape, generator=generator) < density).float()
    return spikes, exact_weights(shape[2], n_neurons, generator), generator


def neurons(names=SURROGATES, reset_gradient=st.booleans()):  # noqa: B008
    """Neurons of every kind; a steep sigmoid, whose g (1 - g) the reference rounds away, has its own test."""
    surrogates = [Surrogate(name, 0.5 if name == "sigmoid" else slope) for name in names for slope in (1.0, 7.0)]
    return st.builds(
        LIF,
        tau=st.sampled_from([1e-3, 4e-3, 20e-3]),
        reset=st.sampled_from(RESETS),
        surrogate=st.sampled_from(surrogates),
        reset_gradient=reset_gradient,
        floor=st.sampled_from([-math.inf, 0.0, -0.5]),
    )


def exact_weights(n_inputs, n_neurons, generator):
    """Multiples of 1/1024 that drive a neuron to a spike now and then."""
    scale = 1024 * 1.5 / math.sqrt(n_inputs)
    return (torch.randn(n_inputs, n_neurons, generator=generator) * scale).round() / 1024


def gradients(engine, spikes, weights, neuron, time_weights, g_sums, g_spikes, **how):
    """Output of a layer, and the gradients of weights and spikes for those cotangents."""
    x, w = spikes.clone().requires_grad_(), weights.clone().requires_grad_()
    out = engine.lif_layer(x, w, neuron, DT, time_weights=time_weights, want_spikes=True, want_membrane=True, **how)
    return out, torch.autograd.grad((*out.sums, out.spikes), (w, x), (*g_sums.unbind(1), g_spikes))


def assert_close(actual, expected):
    """Tensors, or several that share one scale, agree to TOLERANCE of the largest element, if that is finite."""
    if isinstance(actual, torch.Tensor):
        actual, expected = (actual,), (expected,)
    scale = max(float(e.detach().abs().max()) for e in expected)
    if math.isfinite(scale):
        for a, e in zip(actual, expected, strict=True):
            torch.testing.assert_close(a.detach(), e.detach(), rtol=0, atol=TOLERANCE * scale + 1e-30)


@FEW
@given(layers(), neurons(), st.integers(1, 3))
def test_layer_equals_the_reference(layer, neuron, n_sums):
    spikes, weights, generator = layer
    n_sounds, n_steps, _ = spikes.shape
    time_weights = torch.randn(n_sums, n_steps, generator=generator)
    g_sums = torch.randn(n_sounds, n_sums, weights.shape[1], generator=generator)
    g_spikes = torch.randn(n_sounds, n_steps, weights.shape[1], generator=generator)
    arguments = spikes, weights, neuron, time_weights, g_sums, g_spikes
    out, actual = gradients(fused, *arguments)
    expected_out, expected = gradients(reference, *arguments)
    assert torch.equal(out.membrane, expected_out.membrane)
    assert torch.equal(out.spikes, expected_out.spikes)
    assert_close(out.sums, expected_out.sums)
    assert_close(actual, expected)


@FEW
@given(layers(), neurons(), st.integers(0, 3))
def test_layer_of_dense_input_equals_the_reference(layer, neuron, most):
    """Numbers of spikes that are multiplied instead of listed; small enough that sums of weights stay exact."""
    spikes, weights, generator = layer
    spikes = torch.randint(0, most + 1, spikes.shape, generator=generator) * spikes
    time_weights = torch.randn(1, spikes.shape[1], generator=generator)
    g_sums = torch.randn(len(spikes), 1, weights.shape[1], generator=generator)
    g_spikes = torch.randn(*spikes.shape[:2], weights.shape[1], generator=generator)
    arguments = spikes, weights, neuron, time_weights, g_sums, g_spikes
    out, actual = gradients(fused, *arguments, dense=True)
    expected_out, expected = gradients(reference, *arguments)
    assert torch.equal(out.membrane, expected_out.membrane)
    assert torch.equal(out.spikes, expected_out.spikes)
    assert_close(out.sums, expected_out.sums)
    assert_close(actual, expected)


def test_dense_input_may_be_a_list_of_events():
    spikes, weights = random_layer()
    events = SpikeEvents.from_dense(spikes)
    one, other = (
        fused.lif_layer(x, weights, NEURON, DT, want_spikes=True, dense=True).spikes for x in (events, spikes)
    )
    assert torch.equal(one, other)


def test_dense_input_that_was_changed_meanwhile_is_noticed():
    spikes, weights = random_layer()
    spikes = spikes.float().clone()
    out = fused.lif_layer(spikes, weights.requires_grad_(), NEURON, DT, want_spikes=True, dense=True)
    spikes.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.spikes.sum().backward()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("surrogate", ["sigmoid", "gaussian"])
def test_gradients_out_of_a_tail_are_zero_and_not_denormal(surrogate, dense):
    """Membranes between 8 and 25 thresholds below: derivatives down to the least numbers that there are."""
    weights = -torch.linspace(8, 25, 40)[None].repeat(5, 1)
    neuron = LIF(1e-4, surrogate=Surrogate(surrogate, 4 if surrogate == "sigmoid" else 0.4))
    x = torch.zeros(3, 30, 5)
    x[:, :, 0] = 1
    _, (g_weights, g_x) = gradients(
        fused, x, weights, neuron, torch.ones(1, 30), torch.ones(3, 1, 40), torch.zeros(3, 30, 40), dense=dense
    )
    for g in (g_weights, g_x):
        assert ((g == 0) | (g.abs() > 1e-30)).all()
    assert (g_weights[0] != 0).any()
    assert (g_weights[0] == 0).any()


@FEW
@given(layers(), neurons([name for name in SURROGATES if name != "boxcar"]))  # whose derivative jumps
def test_layer_is_as_accurate_as_the_reference(layer, neuron):
    spikes, weights, generator = layer
    n_sounds, n_steps, _ = spikes.shape
    time_weights = torch.randn(1, n_steps, generator=generator)
    g_sums = torch.randn(n_sounds, 1, weights.shape[1], generator=generator)
    g_spikes = torch.randn(n_sounds, n_steps, weights.shape[1], generator=generator)
    arguments = [spikes, weights, neuron, time_weights, g_sums, g_spikes]
    out, actual = gradients(fused, *arguments)
    _, rounded = gradients(reference, *arguments)
    exact_out, exact = gradients(reference, *(x.double() if isinstance(x, torch.Tensor) else x for x in arguments))
    # A membrane may round to the other side of the threshold; then all that follows differs.
    assume(torch.equal(out.spikes.double(), exact_out.spikes))
    assume(all(g.isfinite().all() for g in rounded))
    scale = max(e.abs().max() for e in exact)
    for a, r, e in zip(actual, rounded, exact, strict=True):
        assert (a - e).abs().max() <= 2 * (r - e).abs().max() + TOLERANCE * scale


@FEW
@given(layers(), neurons(reset_gradient=st.just(False)))  # with which no gradient grows over time
def test_two_layers(layer, neuron):
    spikes, weights, generator = layer
    between = exact_weights(weights.shape[1], 9, generator)
    time_weights = torch.rand(1, spikes.shape[1], generator=generator)
    counts = []
    for engine in (fused, reference):
        w, w_between = weights.clone().requires_grad_(), between.clone().requires_grad_()
        hidden = engine.lif_layer(spikes, w, neuron, DT, want_spikes=True)
        assert hidden.sums == ()
        assert hidden.membrane is None
        out = engine.lif_layer(hidden.spikes, w_between, neuron, DT, time_weights=time_weights)
        out.sums[0].square().sum().backward()
        counts.append((out.sums[0].detach(), w.grad, w_between.grad))
    for a, e in zip(*counts, strict=True):
        assert_close(a, e)


@FEW
@given(layers(), st.sampled_from([1e-3, 20e-3]))
def test_leaky_trace_and_counts(layer, tau):
    spikes, weights, generator = layer
    time_weights = torch.randn(2, spikes.shape[1], generator=generator)
    results = []
    for engine in (fused, reference):
        x, w = spikes.clone().requires_grad_(), weights.clone().requires_grad_()
        trace, counts = engine.leaky_trace(x, w, tau, DT), engine.weighted_counts(x, time_weights)
        loss = (trace * trace.detach().cos()).sum() + (counts * counts.detach().cos()).sum()
        results.append((trace.detach(), counts.detach(), *torch.autograd.grad(loss, (x, w))))
    for a, e in zip(*results, strict=True):
        assert_close(a, e)


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("slope", [0.5, 10.0, 100.0])
def test_surrogate_derivative_to_rounding(name, slope):
    # One input that spikes once: v is the weight, and its gradient the derivative at v - 1.
    extreme = torch.tensor([0.0, 1.0, 3e38, -3e38, 1e30, -1e30, 1e10, -1e10])
    v = torch.cat([torch.linspace(-2, 4, 601), 1 + torch.logspace(-7, 1, 101), extreme])[None].requires_grad_()
    surrogate = Surrogate(name, slope)
    out = fused.lif_layer(torch.ones(1, 1, 1), v, LIF(0.02, surrogate=surrogate), DT, time_weights=torch.ones(1, 1))
    (actual,) = torch.autograd.grad(out.sums[0].sum(), v)
    x = -(v.detach() - 1).abs().double()  # all are even, and 1 - g of a sigmoid is inexact where x > 0
    expected = surrogate.derivative(x)
    # An argument of the exponential up to 80 rounds by 80 units of its last place.
    ours = expected > 1e-30
    torch.testing.assert_close(actual[ours].double(), expected[ours], rtol=3e-5, atol=0)
    near = ours & (slope * x.abs() < 2) & (x.abs() > 0)
    rtol = 4e-6 if name == "triangle" else 1e-6  # 1 - k |x| cancels
    torch.testing.assert_close(actual[near].double(), expected[near], rtol=rtol, atol=slope * 1e-6)
    assert (actual[~ours] <= 1e-29).all()


def random_layer(seed=0, shape=(19, 150, 40), n_neurons=37, density=0.2):
    generator = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(shape, generator=generator) < density).float()
    return spikes, exact_weights(shape[2], n_neurons, generator) * 0.5


def run_and_back(spikes, weights, neuron=NEURON):
    """Sums, spikes, and gradients of weights and spikes for fixed cotangents."""
    x, w = spikes.clone().requires_grad_(), weights.clone().requires_grad_()
    time_weights = torch.linspace(0, 1, spikes.shape[1])[None]
    out = fused.lif_layer(x, w, neuron, DT, time_weights=time_weights, want_spikes=True)
    loss = out.sums[0].square().sum() + (out.spikes * torch.arange(weights.shape[1])).sum()
    return out.sums[0].detach(), out.spikes.detach(), *torch.autograd.grad(loss, (w, x))


@pytest.mark.parametrize("reset", RESETS)
def test_same_bits_for_any_number_of_threads(reset):
    spikes, weights = random_layer()
    weights += torch.rand(weights.shape, generator=torch.Generator().manual_seed(1)) / 1000  # inexact sums
    results = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        trace = fused.leaky_trace(spikes, weights.requires_grad_(), 0.01, DT)
        results.append(
            (*run_and_back(spikes, weights, LIF(0.01, reset)), trace, *torch.autograd.grad(trace.sum(), weights))
        )
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("reset", RESETS)
def test_same_bits_whether_membranes_are_kept_or_computed_again(reset, monkeypatch):
    spikes, weights = random_layer(shape=(3, 300, 40))
    kept = run_and_back(spikes, weights, LIF(0.01, reset))
    monkeypatch.setattr(fused_layer, "KEPT_BYTES", 0)
    again = run_and_back(spikes, weights, LIF(0.01, reset))
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def test_results_keep_their_memory_and_leave_it_to_later_ones():
    weights = random_layer()[1]

    def run(seed):
        return fused.lif_layer(random_layer(seed)[0], weights, NEURON, DT, want_spikes=True).spikes

    results = [run(seed) for seed in range(4)]
    copies = [spikes.clone() for spikes in results]
    looks = [results[0][3:5], results[1].numpy(), results[2].flatten().detach(), results[3].untyped_storage()]
    address = results[0].data_ptr()
    del results[0]
    for seed in range(4, 12):
        later = run(seed)
        assert later.data_ptr() != address
    assert torch.equal(looks[0], copies[0][3:5])
    assert all(torch.equal(spikes, copy) for spikes, copy in zip(results, copies[1:], strict=True))
    address = later.data_ptr()
    del later
    assert run(0).data_ptr() == address


def test_batches_may_be_split():
    spikes, weights = random_layer()
    sums, train, g_weights, g_spikes = run_and_back(spikes, weights)
    parts = [run_and_back(part, weights) for part in spikes.split([1, 11, 7])]
    assert torch.equal(torch.cat([part[0] for part in parts]), sums)
    assert torch.equal(torch.cat([part[1] for part in parts]), train)
    assert torch.equal(torch.cat([part[3] for part in parts]), g_spikes)
    assert_close(sum(part[2] for part in parts), g_weights)


def test_any_binary_tensor_or_events_give_the_same():
    spikes, weights = random_layer()
    first = fused.lif_layer(spikes, weights, NEURON, DT, want_spikes=True).spikes
    types = (torch.bool, torch.uint8, torch.int64, torch.float64, torch.float16)
    others = [spikes.to(dtype) for dtype in types]
    others += [spikes.transpose(0, 1).contiguous().transpose(0, 1), SpikeEvents.from_dense(spikes)]
    for other in others:
        assert torch.equal(fused.lif_layer(other, weights, NEURON, DT, want_spikes=True).spikes, first)


def test_gradient_reaches_spikes_of_float64():
    spikes, weights = random_layer(shape=(2, 10, 5))
    x = spikes.double().requires_grad_()
    fused.lif_layer(x, weights, NEURON, DT, time_weights=torch.ones(1, 10)).sums[0].sum().backward()
    assert x.grad.dtype == torch.float64
    assert x.grad.abs().max() > 0


def test_layouts_of_memory_do_not_matter():
    spikes, weights = random_layer(n_neurons=40)
    time_weights = torch.rand(spikes.shape[1], 2)
    results = []
    for w, c in ((weights.t().contiguous().t(), time_weights.t()), (weights, time_weights.t().contiguous())):
        leaf = w.detach().requires_grad_()
        out = fused.lif_layer(spikes, leaf, NEURON, DT, time_weights=c, want_spikes=True)
        # The gradients of these sums are expanded from one number.
        (torch.stack(out.sums).sum() + out.spikes.sum()).backward()
        results.append((torch.stack(out.sums).detach(), leaf.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_later_changes_of_the_arguments_do_not_reach_the_gradient():
    results = []
    for change in (False, True):
        spikes, weights = random_layer(shape=(3, 20, 5))
        x, w, time_weights = spikes.clone(), weights.clone().requires_grad_(), torch.ones(1, 20)
        out = fused.lif_layer(x, w, NEURON, DT, time_weights=time_weights)
        if change:
            with torch.no_grad():
                x.zero_(), w.zero_(), time_weights.zero_()
        results.append(torch.autograd.grad(out.sums[0].sum(), w)[0])
    assert torch.equal(*results)


def test_only_what_is_asked_for():
    spikes, weights = random_layer(shape=(2, 10, 5))
    out = fused.lif_layer(spikes, weights, NEURON, DT)
    assert (out.sums, out.spikes, out.membrane) == ((), None, None)
    out = fused.lif_layer(spikes, weights.requires_grad_(), NEURON, DT, want_membrane=True, want_spikes=True)
    assert not out.membrane.requires_grad
    assert out.spikes.requires_grad
    with torch.no_grad():
        assert not fused.lif_layer(spikes, weights, NEURON, DT, want_spikes=True).spikes.requires_grad


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("name", SURROGATES)
def test_extreme_weights_give_no_nan(reset, name):
    spikes, weights = random_layer(shape=(3, 20, 6), n_neurons=4)
    for scale in (1e30, -1e30, 1e-40):
        arguments = (
            spikes, weights * scale, LIF(0.01, reset, Surrogate(name)), torch.ones(1, 20), torch.ones(3, 1, 4),
            torch.ones(3, 20, 4),
        )  # fmt: skip
        out, actual = gradients(fused, *arguments)
        expected_out, expected = gradients(reference, *arguments)
        assert torch.equal(out.spikes, expected_out.spikes)
        for a, e in zip(
            (out.membrane, *out.sums, *actual), (expected_out.membrane, *expected_out.sums, *expected), strict=True
        ):
            assert not (a.isnan() & ~e.isnan()).any()


def test_a_wrong_gradient_would_be_seen():
    spikes, weights = random_layer()
    variants = [*itertools.product(RESETS, (True, False)), ("zero", True, "sigmoid")]
    results = {}
    for variant in variants:
        reset, reset_gradient, *name = variant
        neuron = LIF(0.01, reset, Surrogate(*name, slope=5.0), reset_gradient)
        w = weights.clone().requires_grad_()
        out = reference.lif_layer(spikes, w, neuron, DT, time_weights=torch.ones(1, spikes.shape[1]))
        (results[variant],) = torch.autograd.grad(out.sums[0].sum(), w)
    for one, other in itertools.combinations(variants, 2):
        with pytest.raises(AssertionError):
            assert_close(results[one], results[other])


BINARY, MATRIX, COUNTS = torch.ones(2, 3, 4), torch.zeros(4, 5), torch.ones(1, 3)
REFUSED = {
    "graded": (lambda: fused.lif_layer(BINARY / 2, MATRIX, LIF(1), DT), "other than 0 to 1000"),
    "nearly one": (lambda: fused.weighted_counts(BINARY.double() + 1e-12, COUNTS), "in whole steps"),
    "nearly two": (lambda: fused.leaky_trace(BINARY.double() * 2 + 1e-12, MATRIX, 1, DT), "in whole steps"),
    "negative": (lambda: fused.leaky_trace(-BINARY, MATRIX, 1, DT), "other than 0 to 1000"),
    "too often": (lambda: fused.leaky_trace(BINARY.int() * 1001, MATRIX, 1, DT), "other than 0 to 1000"),
    "NaN": (lambda: fused.lif_layer(BINARY * math.nan, MATRIX, LIF(1), DT), "other than 0 to 1000"),
    "NaN of float64": (lambda: fused.lif_layer(BINARY.double() * math.nan, MATRIX, LIF(1), DT), "other than 0 to 1000"),
    "elsewhere": (lambda: fused.lif_layer(BINARY.to("meta"), MATRIX, LIF(1), DT), "on the CPU"),
    "weights elsewhere": (lambda: fused.lif_layer(BINARY, MATRIX.to("meta"), LIF(1), DT), "on the CPU"),
    "float64": (lambda: fused.leaky_trace(BINARY, MATRIX.double(), 1, DT), "float32"),
    "fibres": (lambda: fused.lif_layer(BINARY, MATRIX[:3], LIF(1), DT), r"expected \[sounds, steps >= 1, 3\]"),
    "no steps": (lambda: fused.lif_layer(BINARY[:, :0], MATRIX, LIF(1), DT), "steps >= 1"),
    "two axes": (lambda: fused.weighted_counts(BINARY[0], COUNTS), "expected"),
    "too many": (lambda: fused.lif_layer(torch.ones(1, 1, 65_537), torch.ones(65_537, 1), LIF(1), DT), "at most 65536"),
    "time": (
        lambda: fused.lif_layer(BINARY, MATRIX, LIF(1), DT, time_weights=torch.ones(1, 4)),
        r"expected \[sums, 3\]",
    ),
    "trained time": (lambda: fused.weighted_counts(BINARY, COUNTS.clone().requires_grad_()), "without gradient"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_no_second_derivative():
    spikes, weights = random_layer(shape=(2, 10, 5))
    out = fused.lif_layer(spikes, weights.requires_grad_(), NEURON, DT, time_weights=torch.ones(1, 10))
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(out.sums[0].sum(), weights, create_graph=True)
