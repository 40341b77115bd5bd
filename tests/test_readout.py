import math

import pytest
import torch
from scipy import stats

from spikeloc.angles import class_centres
from spikeloc.network import Activity
from spikeloc.readout import Readout, population_vector, von_mises_loss

LIMIT = math.pi / 2


def activity(scores):
    return Activity(torch.as_tensor(scores))


def test_silence_costs_the_expected_first_loss():
    readout = Readout(classes=12)
    loss = readout.loss(activity(torch.zeros(5, 12)), torch.linspace(-1, 1, 5), LIMIT)
    assert float(loss) == pytest.approx(math.log(12))


@pytest.mark.parametrize("kind", ["class", "angle", "direction"])
def test_zero_scores_cost_the_expected_first_loss(kind):
    readout = Readout(kind=kind)
    angle = torch.linspace(-LIMIT, LIMIT, 2001, dtype=torch.float64)
    loss = readout.loss(activity(torch.zeros(2001, readout.n_outputs)), angle, LIMIT)
    assert float(loss) == pytest.approx(readout.expected_first_loss, rel=2e-3)


def test_class_readout_answers_with_the_middle_of_the_class():
    readout = Readout(classes=12)
    decision = readout.decide(activity(torch.eye(12)), LIMIT)
    assert decision.label.tolist() == list(range(12))
    torch.testing.assert_close(decision.angle, class_centres(12))
    assert decision.uncertainty is None


def test_scale_multiplies_scores():
    scores = torch.tensor([[1.0, 2.0]])
    assert torch.equal(Readout(classes=2, scale=3).scores(activity(scores)), 3 * scores)


def test_angle_readout_is_linear_and_stays_in_range():
    readout = Readout(kind="angle")
    decision = readout.decide(activity(torch.tensor([[0.5], [-2.0]])), LIMIT)
    assert decision.angle.tolist() == pytest.approx([LIMIT / 2, -LIMIT])
    loss = readout.loss(activity(torch.tensor([[0.5]])), torch.tensor([LIMIT]), LIMIT)
    assert float(loss) == pytest.approx(0.25)


@pytest.mark.parametrize("angle", [-1.5, -0.3, 0.0, 0.7, 1.5])
def test_cosine_tuning_gives_the_angle_back(angle):
    phi = 2 * math.pi * torch.arange(12) / 12 - math.pi
    scores = 7 * torch.cos(phi - angle)[None]
    decision = Readout(kind="direction").decide(activity(scores), LIMIT)
    assert float(decision.angle) == pytest.approx(angle, abs=1e-6)
    # |z| = K / 2 times the amplitude
    assert float(decision.uncertainty) == pytest.approx(1 / math.sqrt(42), rel=1e-5)


def test_direction_loss_is_the_von_mises_likelihood():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(20, 2, generator=generator, dtype=torch.float64) * 30
    angle = torch.linspace(-3, 3, 20, dtype=torch.float64)
    expected = -stats.vonmises.logpdf(angle, z.norm(dim=1), loc=torch.atan2(z[:, 1], z[:, 0])).mean()
    assert float(von_mises_loss(z, angle)) == pytest.approx(expected, rel=1e-9)


def test_direction_loss_has_finite_gradients_at_rest_and_far_away():
    for size in (0.0, 1e-20, 1e4):
        scores = torch.full((2, 12), size, requires_grad=True)
        von_mises_loss(population_vector(scores) + size, torch.tensor([0.1, -0.2])).backward()
        assert torch.isfinite(scores.grad).all()


def test_direction_gradient_in_float64():
    z = torch.tensor([[3.0, -1.0], [0.2, 0.1]], dtype=torch.float64, requires_grad=True)
    angle = torch.tensor([0.4, -1.2], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: von_mises_loss(v, angle), z)


def test_a_tie_goes_to_the_lowest_class():
    assert Readout(classes=3).decide(activity(torch.zeros(1, 3)), LIMIT).label.tolist() == [0]
