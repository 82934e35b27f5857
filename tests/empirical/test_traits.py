"""Every trait that the package lists, and the meaning of each."""

import numpy as np
import pytest

from empirical.measuring.traits import Classifier, View, every_trait

TRAITS = every_trait()


def encode(images):
    return images.reshape(len(images), -1)[:, ::17].astype(np.float64) / 255


def predict(images):
    return images.reshape(len(images), -1)[:, :5] / 255, ["a"] * len(images)


def view(images, **parts):
    return View(np.asarray(images, np.uint8), encode, Classifier(("a",), predict), **parts)


def noise(n=12, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, channels)).astype(np.uint8)


OF_COLOUR = {"saturation", "colourfulness"}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", TRAITS)
def test_a_trait_is_finite_and_sees_each_image_alone(name, channels):
    # Of smooth images and rough ones, so that every trait varies.
    images = noise(channels=channels)
    images[:6] = images[:6] // 16 * 4 + 40
    first = {n: TRAITS[n](view(images)) for n in TRAITS}
    if channels == 1 and name in OF_COLOUR:
        assert first[name] is None
        return
    values = first[name]
    assert values.ndim == 2
    assert len(values) == len(images)
    assert np.all(np.isfinite(values))
    again = TRAITS[name](view(images[[3, 1]], initial=first.__getitem__))
    np.testing.assert_allclose(again, values[[3, 1]], rtol=1e-10, atol=1e-12)
    assert values.std(axis=0).max() > 0


@pytest.mark.parametrize("name", TRAITS)
def test_a_flat_image_is_no_trouble(name):
    flat = np.concatenate([noise(3, 3), np.full((1, 16, 16, 3), 77, np.uint8)])
    assert np.all(np.isfinite(TRAITS[name](view(flat))))


def test_brightness_and_contrast():
    half = np.zeros((1, 16, 16, 1), np.uint8)
    half[:, :8] = 255
    assert TRAITS["pixel_mean"](view(half)) == pytest.approx(0.5)
    assert TRAITS["pixel_variance"](view(half)) == pytest.approx(0.25)


def test_sharpness_falls_under_blur():
    images = noise(20).astype(float)
    blurred = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2)) / 3
    sharp, soft = (TRAITS["sharpness"](view(z)) for z in (images, blurred))
    assert np.all(soft < sharp)


@pytest.mark.parametrize(("cycles", "share"), [(2, 0), (3, 0), (5, 1), (8, 1)])
def test_the_high_share_of_a_wave_is_all_or_nothing(cycles, share):
    """16 pixels: 5 cycles are 0.31 a pixel, above the cut of 0.25; 3 are 0.19, below."""
    wave = 127.5 + 100 * np.cos(2 * np.pi * cycles * np.arange(16) / 16)
    for image in (np.tile(wave, (16, 1)), np.tile(wave, (16, 1)).T):
        got = TRAITS["high_frequency"](view(np.round(image)[None, ..., None]))
        assert got == pytest.approx(share, abs=2e-4)


def test_high_frequency_share_agrees_with_the_full_transform():
    images = noise(4)
    z = images[..., 0] / 255
    power = np.abs(np.fft.fft2(z)) ** 2
    power[:, 0, 0] = 0
    f = np.fft.fftfreq(16)
    high = np.hypot(f[:, None], f[None]) >= 0.25
    expected = power[:, high].sum(1) / power.sum((1, 2))
    np.testing.assert_allclose(TRAITS["high_frequency"](view(images))[:, 0], expected)


def test_principal_axes_are_those_of_generation_0():
    initial = view(noise(30))
    scores = initial.trait("latent_pc")
    z = initial.trait("latent")
    assert scores.shape == (30, 8)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    covariance = np.cov(scores.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-6)
    largest = np.linalg.eigvalsh(np.cov(z.T))[::-1][:8]
    np.testing.assert_allclose(np.diag(covariance), largest, rtol=1e-6)


def test_without_a_classifier_its_trait_is_left_out():
    assert TRAITS["classifier"](View(noise(), encode)) is None
