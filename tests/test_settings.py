import math

import pytest
from pydantic import PositiveInt

from spikeloc.errors import UserError
from spikeloc.settings import Rate, Settings, Time


class Inner(Settings):
    tau: Time = 0.02
    peak: Rate = 100.0
    size: PositiveInt = 3


class Outer(Settings):
    inner: Inner = Inner()


def message(make, *arguments, **values):
    with pytest.raises(UserError) as caught:
        make(*arguments, **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_python_numbers_are_si():
    assert Inner(tau=0.005).tau == 0.005


def test_words_carry_units():
    assert Inner.read({"tau": "5 ms", "peak": "600/s"}) == Inner(tau=0.005, peak=600.0)


def test_a_bare_number_in_a_recipe_is_refused_at_any_depth():
    assert "20 has no unit" in message(Inner.read, {"tau": 20})
    assert message(Outer.read, {"inner": {"tau": 20}}).startswith("inner: tau: 20 has no unit")


def test_an_unknown_key_names_the_nearest():
    assert message(Inner, tua=1.0) == "tua is not a setting (did you mean 'tau'?); known here: tau, peak, size"
    assert "did you mean 'size'" in message(Outer.read, {"inner": {"sise": 2}})


def test_wrong_values_say_what_was_given_and_expected():
    assert message(Inner, size=0) == "size is 0, but it should be greater than 0"
    assert "finite" in message(Inner, tau=math.nan)
    assert "finite" in message(Inner, tau=math.inf)
    assert "integer" in message(Inner, size="many")
    assert "it is in 'Hz'" in message(Inner, tau="20 Hz")
    assert "dictionary" in message(Outer.read, {"inner": 3})


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Inner().size = 4


def test_words_read_back_equal():
    settings = Outer(inner=Inner(tau=1 / 3, peak=77.7))
    assert Outer.read(settings.model_dump(mode="json")) == settings


def test_reading_one_recipe_does_not_change_how_the_next_python_call_is_read():
    message(Inner.read, {"tau": 20})
    assert Inner(tau=20).tau == 20
