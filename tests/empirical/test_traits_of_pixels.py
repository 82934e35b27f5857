"""Colours, spectra, edges, entropy and compressed size against images whose values are known."""

import numpy as np
import pytest

from empirical.measuring.traits import View, _spectrum, every_trait

TRAITS = every_trait()


def measure(name, images):
    return TRAITS[name](View(np.asarray(images, np.uint8), encode=lambda images: images))


def one_colour(*rgb):
    return np.full((1, 8, 8, 3), rgb, np.uint8)


def power_law(exponent, side=64, count=4, contrast=0.08):
    """Images with a power spectrum of exactly f^-exponent and random phases, around grey."""
    rng = np.random.default_rng(0)
    radius = _spectrum.radius(side, side)
    amplitude = np.where(radius > 0, radius, np.inf) ** (-exponent / 2)
    # Phases of a real image, so that the spectrum stays the given one.
    phase = np.fft.rfft2(rng.normal(size=(count, side, side)))
    z = np.fft.irfft2(amplitude * phase / np.abs(phase), s=(side, side))
    return 0.5 + contrast * z / z.std(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(
    ("colour", "saturation"),
    [((255, 0, 0), 1), ((200, 100, 150), 0.5), ((9, 9, 9), 0), ((0, 0, 0), 0)],
)
def test_saturation_of_one_colour(colour, saturation):
    assert measure("saturation", one_colour(*colour)) == pytest.approx(saturation)


def test_colourfulness_by_hand():
    """One colour: no variances, 0.3 of the distance from grey. Red and green: variances as well."""
    # rg = 100, yb = 150 - 30 = 120.
    got = measure("colourfulness", one_colour(200, 100, 30))
    assert got == pytest.approx(0.3 * np.hypot(100, 120))
    assert measure("colourfulness", one_colour(7, 7, 7)) == 0
    halves = one_colour(255, 0, 0)
    halves[:, 4:] = (0, 255, 0)
    # rg = +-255, of variance 255^2 and mean 0; yb = 127.5 everywhere.
    assert measure("colourfulness", halves) == pytest.approx(255 + 0.3 * 127.5)


def test_white_noise_has_its_variance_at_every_frequency():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 32, 32))
    levels, frequencies = _spectrum.radial(noise)
    assert levels.shape == (200, 9)
    assert np.all(np.diff(frequencies) > 0)
    assert frequencies[-1] < 0.5
    error = levels.std(axis=0, ddof=1) / np.sqrt(200)
    # One degree of freedom goes to the mean, out of 1024.
    assert np.all(np.abs(levels.mean(axis=0) - 1) < 4 * error + 1e-3)


def test_all_power_is_the_variance_of_the_pixels():
    z = np.random.default_rng(1).uniform(size=(3, 16, 20))
    power = _spectrum.power(z) * _spectrum.weight(16, 20)
    np.testing.assert_allclose(power.sum(axis=(1, 2)) / (16 * 20), z.var(axis=(1, 2)))


def test_a_spectrum_in_batches_is_the_same(monkeypatch):
    z = np.random.default_rng(1).uniform(size=(7, 16, 20))
    spectrum = _spectrum.radial(z)[0]
    monkeypatch.setattr(_spectrum, "BATCH", 3)
    np.testing.assert_allclose(_spectrum.radial(z)[0], spectrum, rtol=1e-12)


@pytest.mark.parametrize("side", [4, 7, 16, 33, 256])
def test_no_ring_is_empty(side):
    levels, frequencies = _spectrum.radial(np.random.default_rng(0).uniform(size=(1, side, side)))
    assert np.all(levels > 0)
    # The last ring ends one cycle above the Nyquist frequency.
    assert np.all((frequencies > 0) & (frequencies * side < side // 2 + 1))
    assert np.all(np.diff(frequencies) > 0)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_the_slope_of_a_power_law_is_its_exponent(exponent):
    """Without rounding to 256 levels the rings' finite width is all that is left."""
    levels, frequencies = _spectrum.radial(power_law(exponent))
    slope = np.polyfit(np.log10(frequencies), np.log10(levels).T, 1)[0]
    assert slope == pytest.approx(np.full(4, -exponent), abs=0.06)
    images = np.round(255 * power_law(exponent)).clip(0, 255)[..., None]
    # Rounding adds noise of variance 1/12 of a level: a few hundredths at the steepest.
    assert measure("spectral_slope", images) == pytest.approx(np.full((4, 1), -exponent), abs=0.1)


def test_a_spectrum_knows_neither_place_nor_orientation():
    images = np.random.default_rng(2).integers(0, 256, (3, 16, 16, 1))
    for name in ("power_spectrum", "spectral_slope"):
        value = measure(name, images)
        for other in (np.rot90(images, axes=(1, 2)), np.roll(images, 5, 1), images[:, ::-1]):
            np.testing.assert_allclose(measure(name, other), value, rtol=1e-9)


def test_edges_of_a_step_and_of_a_ramp():
    step = np.zeros((1, 16, 16, 1))
    step[:, :, 8:] = 255
    # Two of fourteen inner columns touch the step.
    assert measure("edge_density", step) == pytest.approx(2 / 14)
    for rise, share in ((20, 0), (30, 1)):
        # 20 levels a pixel are 0.078, below the threshold of 0.1; 30 are 0.118, above.
        ramp = np.arange(8) * rise
        for image in (np.tile(ramp, (8, 1)), np.tile(ramp, (8, 1)).T):
            assert measure("edge_density", image[None, ..., None]) == share


def test_entropy_counts_levels():
    levels = np.arange(256).reshape(1, 16, 16, 1)
    assert measure("entropy", levels) == pytest.approx(8)
    assert measure("entropy", levels // 64) == pytest.approx(2)
    assert measure("entropy", np.full((1, 16, 16, 1), 9)) == 0
    shuffled = np.random.default_rng(0).permutation(levels.ravel()).reshape(levels.shape)
    assert measure("entropy", shuffled) == measure("entropy", levels)


def test_compressed_size_grows_with_what_there_is_to_say():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, 32, 32, 1))
    flat, noisy = (
        measure("compressed_size", np.zeros((1, 32, 32, 1))),
        measure("compressed_size", noise),
    )
    coarse = measure("compressed_size", noise // 64 * 64)
    assert flat < 100 < coarse < noisy
    # Noise cannot be compressed: a byte a pixel, and the header.
    assert 1024 < noisy < 1024 + 150
    assert measure("compressed_size", noise) == noisy
