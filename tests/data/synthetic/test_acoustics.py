"""The physics of the phantoms: speckle statistics, attenuation, shadow, enhancement, interfaces, gray values."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from usaggr.data.synthetic.acoustics import Scanner, accumulate_attenuation, compress_dynamic_range, simulate_envelope
from usaggr.data.synthetic.geometry import Map

SHAPE = (400, 160)
CALM = Scanner(compensation=0.0, noise=-200.0, compounded_images=1)
"""One look, no time gain compensation, no noise."""


def tissue(echo: float = 0.0, attenuation: float = 0.0, impedance: float = 0.0) -> list[Map]:
    return [np.full(SHAPE, value, np.float32) for value in (echo, attenuation, impedance)]


def seen(maps: list[Map], scanner: Scanner = CALM, seed: int = 0) -> Map:
    return simulate_envelope(*maps, scanner, np.random.default_rng(seed))


def decibels(signal: Map) -> float:
    return float(10 * np.log10(np.mean(np.square(signal))))


def test_speckle_of_even_tissue_is_rayleigh_distributed() -> None:
    signal = seen(tissue())[20:-20]
    assert signal.mean() / signal.std() == pytest.approx(1.913, abs=0.06)
    # Neighbors are correlated: only values far apart are independent draws.
    far = signal[::17, ::13].ravel() / np.sqrt(np.mean(signal**2) / 2)
    assert stats.kstest(far, "rayleigh").pvalue > 0.01


def test_compounding_softens_speckle_as_independent_looks_do() -> None:
    signal = seen(tissue(), replace(CALM, compounded_images=4))[20:-20]
    assert signal.mean() / signal.std() == pytest.approx(2 * 1.913, rel=0.06)


def test_soft_tissue_has_unit_power_at_every_depth() -> None:
    power = np.square(seen(tissue())).mean(axis=1)
    assert power[20:-20].reshape(-1, 40).mean(axis=1) == pytest.approx(1, abs=0.3)


def test_deeper_tissue_is_darker_by_what_was_lost_on_the_way() -> None:
    signal = seen(tissue(attenuation=20))
    assert decibels(signal[40:80]) - decibels(signal[320:360]) == pytest.approx(20 * 280 / 400, abs=1)


def test_time_gain_compensation_makes_even_tissue_even_again() -> None:
    signal = seen(tissue(attenuation=20), replace(CALM, compensation=20.0))
    assert decibels(signal[40:80]) == pytest.approx(decibels(signal[320:360]), abs=1)


def test_there_is_a_shadow_behind_bone_and_only_there() -> None:
    maps = tissue()
    maps[1][100:120, 40:80] = 420
    signal = seen(maps)
    assert decibels(signal[200:, 48:72]) < decibels(signal[200:, 100:]) - 15
    assert decibels(signal[:90, 48:72]) == pytest.approx(decibels(signal[:90, 100:]), abs=1)


def test_sound_is_stronger_behind_fluid() -> None:
    maps = tissue(attenuation=20)
    maps[0][100:250, 40:80], maps[1][100:250, 40:80] = -60, 0
    signal = seen(maps, replace(CALM, compensation=20.0))
    assert decibels(signal[150:200, 48:72]) < -40
    assert decibels(signal[280:, 48:72]) == pytest.approx(decibels(signal[280:, 100:]) + 20 * 150 / 400, abs=1.5)


def test_an_interface_is_bright_across_the_beam_and_unseen_along_it() -> None:
    across, along = tissue(), tissue()
    across[2][200:] = 1
    along[2][:, 80:] = 1
    assert decibels(seen(across)[198:203]) > 8
    assert decibels(seen(along)[100:300, 78:83]) < 2


def test_noise_shows_deep_in_a_shadow_where_the_gain_is_high() -> None:
    signal = seen(tissue(echo=-200), replace(CALM, compensation=20.0, noise=-40.0))
    assert decibels(signal[-20:]) - decibels(signal[:20]) == pytest.approx(20 * 380 / 400, abs=1.5)


def test_loss_adds_up_along_the_beam_alone() -> None:
    attenuation = np.zeros((10, 3), np.float32)
    attenuation[4, 1] = 50
    assert accumulate_attenuation(attenuation)[:, 1] == pytest.approx([0] * 4 + [5] * 6)
    assert not accumulate_attenuation(attenuation)[:, [0, 2]].any()


def test_compression_maps_the_dynamic_range_to_black_and_white() -> None:
    scanner = Scanner(dynamic_range=60.0, level=0.5, gain=0.0)
    signal = np.array([[1e-9, 10 ** (-30 / 20), 1.0, 10 ** (15 / 20), 10 ** (30 / 20), 1e9]], np.float32)
    assert compress_dynamic_range(signal, scanner) == pytest.approx(np.array([[0, 0, 0.5, 0.75, 1, 1]]), abs=1e-5)


def test_the_same_generator_state_gives_the_same_signal() -> None:
    assert np.array_equal(seen(tissue(), seed=4), seen(tissue(), seed=4))
    assert not np.array_equal(seen(tissue(), seed=4), seen(tissue(), seed=5))
