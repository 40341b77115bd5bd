import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeloc.errors import UserError
from spikeloc.units import UNITS, ms, read_quantity, write_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("20 ms", "time", 20 * ms),
        ("0.1s", "time", 0.1),
        (" 25 us ", "time", 25e-6),
        ("1e3 Hz", "frequency", 1000.0),
        ("1.5 kHz", "frequency", 1500.0),
        ("600/s", "rate", 600.0),
        ("-90 deg", "angle", -math.pi / 2),
        (".5 rad", "angle", 0.5),
        ("60 dB SPL", "level", 60.0),
        ("-3dB", "level", -3.0),
        ("8.75 cm", "length", 0.0875),
    ],
)
def test_reads_quantities(text, dimension, value):
    assert read_quantity(text, dimension) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "dimension", "reason"),
    [
        ("20 Hz", "time", "it is in 'Hz'"),
        ("20", "time", "has no unit"),
        ("20 mss", "time", "it is in 'mss'"),
        ("fast", "frequency", "is not a frequency"),
        ("nan ms", "time", "is not a time"),
        ("1 2 ms", "time", "is not a time"),
        ("20 SPL", "level", "it is in 'SPL'"),
    ],
)
def test_refuses_in_one_sentence_what_is_no_quantity(text, dimension, reason):
    with pytest.raises(UserError, match=reason) as caught:
        read_quantity(text, dimension)
    assert "for example" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.sampled_from(sorted(UNITS)), st.floats(allow_nan=False, allow_infinity=False, max_value=1e12, min_value=-1e12)
)
def test_every_number_survives_writing_and_reading(dimension, value):
    assert read_quantity(write_quantity(value, dimension), dimension) == value


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (0.02, "time", "20 ms"),
        (1e-4, "time", "0.1 ms"),
        (1000.0, "rate", "1000/s"),
        (math.pi / 2, "angle", "90 deg"),
        (60.0, "level", "60 dB"),
    ],
)
def test_writes_as_people_do(value, dimension, text):
    assert write_quantity(value, dimension) == text
