"""SOFA files: right ones are read, each wrong one is refused in one sentence."""

import h5py
import numpy as np
import pytest

from spikeloc.errors import UserError
from spikeloc.heads import load_head
from spikeloc.heads.sofa import read_sofa

RATE = 44100.0


def write(path, *, drop=(), directions=36, **changes):
    """A head with one pulse per ear, delayed by 20 + 10 sin(azimuth) samples on the left."""
    azimuth = np.arange(directions) * 360 / directions
    late = 20 + 10 * np.round(np.sin(np.radians(-azimuth)), 1)
    frequency = np.fft.rfftfreq(128)
    both = np.stack([late, 40 - late], axis=1)
    responses = np.fft.irfft(
        np.exp(-0.5 * (frequency / 0.2) ** 2) * np.exp(-2j * np.pi * frequency * both[..., None]), 128
    )
    data = {
        "Data.IR": responses,
        "Data.SamplingRate": np.array([RATE]),
        "Data.Delay": np.zeros((1, 2)),
        "SourcePosition": np.stack([azimuth, 0 * azimuth, 0 * azimuth + 1.4], axis=1),
        "ReceiverPosition": np.array([[0, 0.09, 0], [0, -0.09, 0]])[..., None],
        "ListenerView": np.array([[1.0, 0, 0]]),
    }
    attributes = {"Conventions": "SOFA", "SOFAConventions": "SimpleFreeFieldHRIR", "DataType": "FIR", "Title": "pulses"}
    position = {"Type": "spherical", "Units": "degree, degree, metre"}
    for key, value in changes.items():
        {"Type": position, "Units": position}.get(key, data if key in data else attributes)[key] = value
    for key, value in changes.get("arrays", {}).items():
        data[key] = value
    attributes.pop("arrays", None)
    with h5py.File(path, "w") as file:
        for key, value in attributes.items():
            if key not in drop:
                file.attrs[key] = np.bytes_(value)
        for key, value in data.items():
            if key not in drop:
                file[key] = value
        if "SourcePosition" not in drop:
            for key, value in position.items():
                file["SourcePosition"].attrs[key] = value
    return path


def test_reads_a_head_and_turns_azimuths_to_the_right(tmp_path):
    head = read_sofa(write(tmp_path / "a.sofa"))
    assert head.name == "pulses"
    assert head.azimuths[0] > -np.pi
    assert head.azimuths[-1] == pytest.approx(np.pi)
    # SOFA's 90 deg is on the left; a source on our right reaches the right ear 20 samples before the left.
    assert head.itd(np.pi / 2)[0] == pytest.approx(20 / RATE, abs=1e-6)
    assert head.itd(-np.pi / 2)[0] == pytest.approx(-20 / RATE, abs=1e-6)


def test_cartesian_positions_and_radians_mean_the_same(tmp_path):
    plain = read_sofa(write(tmp_path / "a.sofa"))
    azimuth = np.radians(np.arange(36) * 10.0)
    xyz = np.stack([1.4 * np.cos(azimuth), 1.4 * np.sin(azimuth), 0 * azimuth], axis=1)
    cartesian = read_sofa(write(tmp_path / "b.sofa", Type="cartesian", Units="metre", arrays={"SourcePosition": xyz}))
    radians = np.stack([azimuth, 0 * azimuth, 0 * azimuth + 1], axis=1)
    turned = read_sofa(write(tmp_path / "c.sofa", Units="radian, radian, metre", arrays={"SourcePosition": radians}))
    for other in (cartesian, turned):
        np.testing.assert_allclose(other.azimuths, plain.azimuths, atol=1e-9)
        np.testing.assert_allclose(other.itd_table(), plain.itd_table(), atol=1e-9)


def test_delays_of_the_file_and_order_of_its_ears_count(tmp_path):
    plain = read_sofa(write(tmp_path / "a.sofa"))
    later = read_sofa(write(tmp_path / "b.sofa", arrays={"Data.Delay": np.array([[3.0, 0.0]])}))
    np.testing.assert_allclose(later.itd_table() - plain.itd_table(), 3 / RATE, atol=1e-6)
    ears = np.array([[0, -0.09, 0], [0, 0.09, 0]])[..., None]
    swapped = read_sofa(write(tmp_path / "c.sofa", arrays={"ReceiverPosition": ears}))
    np.testing.assert_allclose(swapped.itd_table(), -plain.itd_table(), atol=1e-9)


def test_doubled_directions_and_other_elevations_are_left_out(tmp_path):
    azimuth = np.concatenate([np.arange(36) * 10.0, np.arange(36) * 10.0])
    elevation = np.repeat([0.0, 30.0], 36)
    position = np.stack([azimuth, elevation, 0 * azimuth + 1], axis=1)
    position[36] = (360.0, 0.0, 0.5)  # straight ahead again, nearer
    with h5py.File(write(tmp_path / "one.sofa")) as file:
        responses = np.concatenate([file["Data.IR"][()]] * 2)
    path = write(tmp_path / "a.sofa", arrays={"SourcePosition": position, "Data.IR": responses})
    assert len(read_sofa(path).azimuths) == 36


def sideways(elevation):
    azimuth = np.arange(36) * 10.0
    return np.stack([azimuth, 0 * azimuth + elevation, 0 * azimuth + 1], axis=1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SOFAConventions": "MultiSpeakerBRIR"}, "only SimpleFreeFieldHRIR can be read"),
        ({"drop": ("SOFAConventions",)}, "not a SOFA file"),
        ({"DataType": "TF"}, "only FIR"),
        ({"drop": ("Data.IR",)}, "without Data.IR"),
        ({"drop": ("SourcePosition",)}, "without SourcePosition|cannot be read"),
        ({"arrays": {"SourcePosition": sideways(20.0)}}, "no horizontal directions"),
        ({"arrays": {"SourcePosition": sideways(0.0)[:5]}}, "source positions of shape"),
        ({"arrays": {"Data.IR": np.ones((36, 4, 64))}}, "2 ears"),
        ({"arrays": {"Data.IR": np.zeros((36, 2, 64))}}, "silent"),
        ({"arrays": {"Data.IR": np.full((36, 2, 64), np.nan)}}, "not finite"),
        ({"arrays": {"Data.IR": np.full((36, 2, 64), 1e200)}}, "absurdly large"),
        ({"arrays": {"Data.SamplingRate": np.array([0.0])}}, "sampling rate of 0 Hz"),
        ({"arrays": {"ListenerView": np.eye(3)}}, "turns the listener"),
        ({"directions": 6}, "measured all around"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(tmp_path, changes, reason):
    with pytest.raises(UserError, match=reason) as caught:
        load_head(write(tmp_path / "a.sofa", **changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_no_hdf5_file_is_refused(tmp_path):
    whole = write(tmp_path / "whole.sofa").read_bytes()
    for name, content in {"cut": whole[: len(whole) // 3], "text": b"hello", "empty": b""}.items():
        path = tmp_path / f"{name}.sofa"
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as a SOFA") as caught:
            load_head(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is a folder"):
        load_head(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load_head(tmp_path / "none.sofa")
