"""A scene is a function of (seed, stream, index); each option does what it says, within its range."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloc.errors import UserError
from spikeloc.heads import load_head
from spikeloc.randomness import sound_keys
from spikeloc.recipe import Recipe, parse_recipe
from spikeloc.stimuli import SceneStimulus, scene
from spikeloc.stimuli.cochlea import PEAK_PRESSURE, CochleaSettings
from spikeloc.stimuli.nerve import nerve_spikes
from spikeloc.stimuli.rendering import level_of
from spikeloc.stimuli.sources import SourceSettings

COCHLEA = CochleaSettings(channels=4, lowest=300, highest=2000, fibres_per_channel=4)
NOISE = SourceSettings(kinds=("white noise",))
EVERYTHING = {
    "heads": ("spherical", "kemar"),
    "head_sizes": (0.9, 1.1),
    "varied": 0.5,
    "noisy": 0.5,
    "accompanied": 0.5,
    "reverberant": 0.5,
    "reverberation": 0.1,
    "moving": 0.3,
}
KEYS = [int(key) for key in sound_keys(3, "test", np.arange(60))]


def make(**values):
    values = {"heads": ("spherical",), "source": NOISE, "duration": 0.05, "cochlea": COCHLEA} | values
    return SceneStimulus(**values)


def pressures(azimuth=0.5, keys=KEYS, count=1400, **values):
    stimulus = make(**values)
    return [stimulus.pressure(key, azimuth, count).astype(float) for key in keys]


def power(ears):
    return np.mean(np.square(ears))


def spread_over(values, low, high):
    """Whether values are spread over a range as even draws are: none outside, all quarters hit."""
    quarters = np.histogram(values, np.linspace(low, high, 5))[0]
    slack = 1e-3 * (high - low)
    return min(values) >= low - slack and max(values) <= high + slack and quarters.min() >= len(values) / 12


# ---- which sound -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sounds():
    return make(**EVERYTHING).draw(12, seed=3)


def same(sounds, places, other):
    np.testing.assert_array_equal(sounds.angle[places], other.angle)
    np.testing.assert_array_equal(sounds.ears[places], other.ears)
    np.testing.assert_array_equal(sounds.spikes[places], other.spikes)


def test_a_sound_is_the_same_however_it_is_drawn(sounds):
    stimulus = make(**EVERYTHING)
    same(sounds, slice(None), stimulus.draw(12, seed=3, stream="test"))
    same(sounds, slice(5, 9), stimulus.draw(4, seed=3, first=5))
    same(sounds, [7, 0, 7, 11], stimulus.draw(seed=3, indices=np.array([7, 0, 7, 11])))
    for i in (0, 6):
        same(sounds, [i], stimulus.draw(1, seed=3, first=i))
    same(sounds, [4], stimulus.draw(1, seed=3, first=4, angle=sounds.angle[4:5].numpy()))


def test_streams_seeds_and_indices_differ(sounds):
    stimulus = make(**EVERYTHING)
    others = [stimulus.draw(12, seed=3, stream="training"), stimulus.draw(12, seed=4)]
    angles = np.concatenate([each.angle for each in (sounds, *others)])
    assert len(set(angles.tolist())) == 36
    for i in range(12):
        assert np.abs(np.corrcoef([each.ears[i, 0] for each in (sounds, *others)])[0, 1:]).max() < 0.5


def test_axes_and_sizes(sounds):
    stimulus = make()
    assert (stimulus.n_steps, stimulus.n_fibres, stimulus.sample_rate) == (500, 32, 20_000)
    assert sounds.spikes.shape == (12, 500, 32)
    assert sounds.ears.shape == (12, 2, 1000)
    assert sounds.ears.dtype == np.float32
    assert len(stimulus.draw(0, seed=1)) == 0


def test_azimuths_are_even_within_the_limit():
    stimulus = make(max_azimuth=1.0, duration=0.001, lead_in=0.001)
    angles = stimulus.draw(400, seed=1).angle.numpy()
    assert stimulus.limit == 1.0
    assert spread_over(angles, -1, 1)
    assert abs(angles.mean()) < 4 / math.sqrt(3 * 400)


def test_a_given_angle_changes_nothing_but_the_direction():
    stimulus = make(max_azimuth=1.0)
    angles = np.array([-1.5, 0.0, 0.7])
    found = stimulus.draw(3, seed=3, angle=angles)
    np.testing.assert_array_equal(found.angle, angles)
    for key, angle, ears in zip(KEYS[:3], angles, found.ears, strict=True):
        np.testing.assert_array_equal(stimulus.pressure(key, angle, 1400)[:, 400:], ears)
    np.testing.assert_array_equal(stimulus.draw(3, seed=3, angle=0.2).angle, [0.2] * 3)


# ---- what is heard ---------------------------------------------------------------------------------------------------


def test_levels_are_even_within_their_range():
    fixed = [level_of(ears) for ears in pressures(level=(60, 60))]
    drawn = [level_of(ears) - at + 60 for ears, at in zip(pressures(level=(50, 80)), fixed, strict=True)]
    assert spread_over(drawn, 50, 80)
    louder = pressures(level=(70, 70), keys=KEYS[:3])
    for ears, quiet in zip(louder, pressures(level=(60, 60), keys=KEYS[:3]), strict=True):
        np.testing.assert_allclose(ears, quiet * math.sqrt(10), rtol=1e-4, atol=1e-7)
    assert np.median(fixed) == pytest.approx(60, abs=3)


@pytest.mark.parametrize(("share", "limits"), [("noisy", "snr"), ("accompanied", "target_ratio")])
def test_what_is_added_has_a_ratio_in_its_range(share, limits):
    plain = pressures()
    added = pressures(**{share: 1, limits: (-5, 15)})
    ratios = [10 * np.log10(power(ears) / power(both - ears)) for ears, both in zip(plain, added, strict=True)]
    assert spread_over(ratios, -5, 15)


def test_noise_and_second_source_reach_the_ears_alike_and_from_elsewhere():
    """Diffuse noise has no direction; a second source has one, which is not the first's."""
    plain = pressures(azimuth=1.2, keys=KEYS[:30])

    def balance(**values):
        added = [both - ears for ears, both in zip(plain, pressures(1.2, KEYS[:30], **values), strict=True)]
        return np.array([level_of(ears[1]) - level_of(ears[0]) for ears in added])

    assert np.abs(balance(noisy=1)).max() < 2
    second = balance(accompanied=1)
    assert second.min() < -4
    assert second.max() > 4
    assert level_of(plain[0][1]) - level_of(plain[0][0]) > 4


def test_second_sources_are_even_over_all_azimuths(monkeypatch):
    asked = []
    real = scene.render
    monkeypatch.setattr(scene, "render", lambda *a: (asked.append(a[2]), real(*a))[1])
    pressures(azimuth=0.3, accompanied=1, max_azimuth=1.0)
    assert asked[::2] == [0.3] * len(KEYS)
    assert spread_over(asked[1::2], -1, 1)


def test_rooms_add_a_tail_of_their_energy():
    values = {"keys": KEYS[:12], "count": 16_000, "source": SourceSettings(kinds=("white noise",), ramp=0)}
    plain = pressures(**values)
    for ratio in (-3.0, 9.0):
        rooms = pressures(reverberant=1, reverberation=0.05, direct_ratio=(ratio, ratio), **values)
        found = [10 * np.log10(power(ears) / power(room - ears)) for ears, room in zip(plain, rooms, strict=True)]
        np.testing.assert_allclose(found, ratio, atol=1.0)
        assert np.abs((rooms[0] - plain[0])[:, :50]).max() < 1e-4 * np.abs(plain[0]).max()


@pytest.mark.parametrize("share", ["noisy", "accompanied", "reverberant"])
def test_shares_are_of_sounds(share):
    count = 200
    plain, some = pressures(count=count), pressures(count=count, **{share: 0.4})
    changed = [np.abs(one - other).max() > 0 for one, other in zip(plain, some, strict=True)]
    assert np.mean(changed) == pytest.approx(0.4, abs=0.2)
    every = pressures(count=count, **{share: 1.0})
    for was_changed, one, other in zip(changed, some, every, strict=True):
        assert was_changed == np.array_equal(one, other)


def test_moving_sources_pass_their_azimuth_in_the_middle(monkeypatch):
    ways = []
    real = scene.render_moving
    monkeypatch.setattr(scene, "render_moving", lambda *a: (ways.append(a[2]), real(*a))[1])
    stimulus = make(moving=0.4, duration=0.05, lead_in=0.02)
    still = make()
    for key in KEYS:
        moved = stimulus.pressure(key, 0.5, 1400)
        assert moved.shape == still.pressure(key, 0.5, 1400).shape
    begin, middle, end = np.array([way(np.array([0.02, 0.045, 0.07])) for way in ways]).T
    np.testing.assert_allclose(middle, 0.5)
    np.testing.assert_allclose(begin + end, 1.0)
    assert spread_over(end - 0.5, -0.4, 0.4)
    assert all(way(np.array([0.0]))[0] == way(np.array([0.02]))[0] for way in ways)
    rooms = make(moving=0.4, reverberant=1).pressure(KEYS[0], 0.5, 1400)
    np.testing.assert_array_equal(rooms, make(reverberant=1).pressure(KEYS[0], 0.5, 1400))


def test_heads_and_their_sizes_are_drawn(monkeypatch):
    asked = []
    real = scene._head
    monkeypatch.setattr(scene, "_head", lambda *a: (asked.append(a), real(*a))[1])
    pressures(heads=("spherical", "kemar"), head_sizes=(0.9, 1.0, 1.1), count=40)
    assert set(asked) == {(head, size) for head in ("spherical", "kemar") for size in (0.9, 1.0, 1.1)}
    assert scene._head("spherical", 1.1).itd(1.0) == pytest.approx(1.1 * load_head("spherical").itd(1.0), rel=0.03)


def test_a_share_is_heard_through_variations_of_the_head(monkeypatch):
    asked = []
    real = scene._varied_head
    monkeypatch.setattr(scene, "_varied_head", lambda *a: (asked.append(a), real(*a))[1])
    kept = pressures(head_sizes=(1.0,), count=40)
    assert not asked
    found = pressures(head_sizes=(1.0,), varied=0.5, varied_sizes=(1.1, 1.2), varied_gain=2.0, count=40)
    assert 18 <= len(asked) <= 42
    assert {(name, *rest) for name, _, *rest in asked} == {("spherical", (1.1, 1.2), 2.0)}
    assert len({number for _, number, *_ in asked}) > 12
    assert all(0 <= number < scene.VARIATIONS for _, number, *_ in asked)
    same = sum(np.array_equal(one, other) for one, other in zip(kept, found, strict=True))
    assert same == len(KEYS) - len(asked)  # nothing else about a sound changes
    assert real("spherical", 3, (1.1, 1.2), 2.0) is real("spherical", 3, (1.1, 1.2), 2.0)


# ---- spikes ----------------------------------------------------------------------------------------------------------


def test_fibres_are_in_the_order_that_is_said():
    """A tone at one ear at one channel's frequency: its fibres spike most, each later by its phase."""
    stimulus = make(cochlea=COCHLEA.model_copy(update={"spontaneous": (0.0, 0.0), "half_level": (40.0, 40.0)}))
    fibres, cochlea = stimulus.fibres, stimulus.cochlea
    assert all(len(each) == stimulus.n_fibres for each in vars(fibres).values())
    time = np.arange(6000) / stimulus.sample_rate
    for ear, frequency in [(0, cochlea.centre_frequencies[0]), (1, cochlea.centre_frequencies[2])]:
        sound = np.zeros((40, 2, len(time)))
        sound[:, ear] = PEAK_PRESSURE * 10 ** (30 / 20) * np.cos(2 * np.pi * frequency * time)
        spikes = nerve_spikes(sound, sound_keys(0, "test", np.arange(40)), cochlea, 2000).to_dense().numpy()
        mine = (fibres.ear == ear) & np.isclose(fibres.frequency, frequency)
        counts = spikes.sum(axis=(0, 1))
        assert mine.sum() == 4
        assert counts[mine].min() > 1.5 * counts[~mine].max()
        assert not counts[fibres.ear != ear].any()
        turns = np.exp(2j * np.pi * frequency * np.arange(2000) * stimulus.dt) @ spikes.sum(axis=0)[:, mine]
        late = np.angle(turns * np.exp(-1j * fibres.phase[mine]))
        assert np.abs(late - late[0]).max() < 0.15
        strength = np.abs(turns) / counts[mine]
        np.testing.assert_allclose(strength, 8 / (3 * np.pi) * fibres.locking[mine], rtol=0.1)


def test_reach_is_the_phase_that_a_head_can_make():
    fibres = make().fibres
    largest = load_head("kemar").scaled(1.1).itd(np.linspace(-np.pi, np.pi, 73)).max()
    assert (fibres.reach >= np.minimum(np.pi, 2 * np.pi * fibres.frequency * largest)).all()
    assert fibres.reach.max() <= np.pi


def lag_of(spikes, fibres, frequency):
    """Lag in steps at which the ears' spikes around a frequency coincide most, positive if the right ear leads."""
    near = fibres.frequency == fibres.frequency[np.abs(fibres.frequency - frequency).argmin()]
    left, right = (spikes[:, :, near & (fibres.ear == ear)].sum(axis=2) for ear in (0, 1))
    lags = np.arange(-12, 13)
    middle = slice(12, spikes.shape[1] - 12)
    both = [(left[:, middle] * np.roll(right, lag, axis=1)[:, middle]).sum() for lag in lags]
    return lags[np.argmax(both)]


@pytest.mark.parametrize("azimuth", [-60, -20, 0, 40])
def test_the_delay_between_the_ears_is_in_the_spikes(azimuth):
    """It is the head's, and changes its sign with the ears."""
    cochlea = COCHLEA.model_copy(update={"fibres_per_channel": 32, "longest_delay": 0.0})
    stimulus = make(duration=0.1, cochlea=cochlea, level=(70, 70))
    spikes = stimulus.draw(16, seed=1, angle=math.radians(azimuth)).spikes.numpy()
    itd = load_head("spherical").itd(math.radians(azimuth)) / stimulus.dt
    assert lag_of(spikes, stimulus.fibres, 600) == pytest.approx(itd, abs=1.6)
    if azimuth:
        swapped = np.concatenate(np.split(spikes, 2, axis=2)[::-1], axis=2)
        assert lag_of(swapped, stimulus.fibres, 600) * azimuth < 0


def test_a_mirrored_scene_swaps_the_ears():
    """Exactly for the pressures of a symmetric head, and for spikes on average."""
    stimulus = make(duration=0.1, noisy=0)
    right, left = (stimulus.draw(60, seed=1, angle=side * 0.8) for side in (1, -1))
    np.testing.assert_allclose(right.ears, left.ears[:, ::-1], atol=1e-4 * right.ears.max())
    n = stimulus.n_fibres // 2
    counts = right.spikes.sum(dim=(0, 1)).numpy(), left.spikes.sum(dim=(0, 1)).numpy()[np.r_[n : 2 * n, 0:n]]
    assert (np.abs(counts[0] - counts[1]) / np.sqrt(counts[0] + counts[1])).max() < 4.5
    assert np.abs(counts[0][:n].sum() - counts[0][n:].sum()) > 5 * math.sqrt(counts[0].sum())


def test_memory_follows_the_result():
    stimulus = make(**EVERYTHING | {"varied": 0})  # variations of heads are kept, up to their number
    stimulus.draw(2, seed=1)
    peaks = []
    for n in (20, 80):
        tracemalloc.start()
        sounds = stimulus.draw(n, seed=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        size = sounds.ears.base.nbytes + 4 * sounds.events.index.nbytes + sounds.events.start.nbytes
        assert peaks[-1] < 2 * size + 2**21
    assert peaks[1] < 4.2 * peaks[0]


# ---- settings --------------------------------------------------------------------------------------------------------

RANGES = st.tuples(st.integers(-20, 90), st.integers(0, 30)).map(lambda pair: (float(pair[0]), float(sum(pair))))
SHARES = st.sampled_from([0.0, 0.25, 1.0])


@given(
    stimulus=st.builds(
        SceneStimulus,
        heads=st.sampled_from([("kemar",), ("spherical", "spherical:9 cm")]),
        head_sizes=st.sampled_from([(1.0,), (0.95, 1.05)]),
        source=st.builds(
            SourceSettings,
            kinds=st.sampled_from([("tone",), ("speech-like", "clicks"), ("white noise",)]),
            tilt=RANGES,
            ramp=st.floats(0, 0.1),
        ),
        duration=st.floats(0.001, 5),
        lead_in=st.floats(0.01, 1),
        level=RANGES,
        noisy=SHARES,
        snr=RANGES,
        accompanied=SHARES,
        target_ratio=RANGES,
        reverberant=SHARES,
        reverberation=st.floats(0.01, 10),
        direct_ratio=RANGES,
        moving=st.floats(0, 1),
        max_azimuth=st.floats(0.01, math.pi),
        cochlea=st.builds(
            CochleaSettings,
            channels=st.integers(2, 256),
            lowest=st.floats(20, 200),
            highest=st.floats(300, 8000),
            fibres_per_channel=st.integers(1, 100),
            longest_delay=st.floats(0, 0.01),
            refractory=st.floats(0, 0.01),
            oversampling=st.integers(2, 8),
        ),
    )
)
@settings(max_examples=60, deadline=None)
def test_every_scene_survives_a_recipe(stimulus):
    recipe = Recipe(name="round", stimulus=stimulus)
    assert parse_recipe(recipe.to_toml(), "round") == recipe


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"heads": []}, "heads"),
        ({"head_sizes": [3]}, "head_sizes"),
        ({"level": ["80 dB", "50 dB"]}, "level goes from 80 dB to 50 dB; give the lower one first"),
        ({"snr": ["3 dB", "2 dB"]}, "lower one first"),
        ({"noisy": 1.5}, "noisy"),
        ({"duration": "1 us"}, "choose between 1 and 1000000 steps"),
        ({"duration": "200 s"}, "choose between 1 and 1000000 steps"),
        ({"lead_in": "0.5 ms"}, "shorter than the cochlea's longest_delay 0.9 ms; make it at least as long"),
        ({"varied": -0.1}, "varied"),
        ({"varied_sizes": [1.2, 0.9]}, "varied_sizes goes from 1.2 to 0.9; give the smaller one first"),
        ({"varied_gain": "-1 dB"}, "choose an amplitude between 0 dB and 20 dB"),
        ({"max_azimuth": "190 deg"}, "max_azimuth"),
        ({"moving": "10"}, "has no unit"),
        ({"source": {"kinds": ["violin"]}}, "kinds"),
        ({"cochlea": {"chanels": 3}}, "did you mean 'channels'"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(values, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        SceneStimulus.read(values)
    assert "\n" not in str(refusal.value)


def test_unknown_heads_and_negative_numbers_are_refused():
    with pytest.raises(UserError, match="kemmar"):
        make(heads=("kemmar",)).draw(1, seed=1)
    with pytest.raises(UserError):
        make().draw(-1, seed=1)


def test_directions_behind_are_warned_of():
    assert make().caveats() == []
    assert "confusions beyond 90 deg" in make(max_azimuth=math.pi).caveats()[0]
