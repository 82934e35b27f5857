"""Every measure that the package lists, against sets whose values are known."""

import numpy as np
import pytest

from empirical.measuring import metrics
from empirical.measuring.metrics import Pair, Sample
from empirical.measuring.metrics.measures import kid, mmd

MEASURES = metrics.every_measure()
AGAINST = [name for name, module in MEASURES.items() if hasattr(module, "against")]
ALONE = [name for name, module in MEASURES.items() if hasattr(module, "alone")]
NOT_SYMMETRIC = {"precision", "recall", "density", "coverage", "nearest", "nearest_real"}
# Angles are all they see.
OF_ANGLES = {"vendi", "clip_score", "kid"}


def sample(z, **parts):
    return Sample(np.asarray(z, float), **parts)


def normal(seed, n=40, d=3, shift=0.0):
    rng = np.random.default_rng(seed)
    captions = tuple("abcde"[i % 5] for i in range(n))
    texts = rng.normal(size=(n, d))
    return Sample(rng.normal(size=(n, d)) + shift, captions, captions[::-1], texts)


def against(name, a, b):
    return MEASURES[name].against(Pair(a, b))


def turned(sample, axes, shift=0.0):
    texts = None if sample.texts is None else sample.texts @ axes
    return Sample(sample.features @ axes + shift, sample.captions, sample.predicted, texts)


def rotation(d, seed=5):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


def test_a_measure_is_of_one_set_or_of_two():
    assert set(ALONE) | set(AGAINST) == set(MEASURES)
    assert not set(ALONE) & set(AGAINST)


@pytest.mark.parametrize("name", MEASURES)
def test_neither_order_nor_rotation_matters(name):
    a, b, axes = normal(0), normal(1, 30, shift=0.5), rotation(3)
    order, other = np.random.default_rng(2).permutation(40), np.random.default_rng(3)
    if name in ALONE:
        measure = MEASURES[name].alone
        value = measure(a)
        again = [measure(a.take(order)), measure(turned(a, axes))]
        again += [] if name in OF_ANGLES else [measure(turned(a, axes, 7.0))]
    else:
        value = against(name, a, b)
        again = [
            against(name, a.take(order), b.take(other.permutation(30))),
            against(name, turned(a, axes), turned(b, axes)),
        ]
        if name not in OF_ANGLES:
            again.append(against(name, turned(a, axes, 7.0), turned(b, axes, 7.0)))
    assert np.isfinite(value)
    assert again == pytest.approx([value] * len(again), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", sorted(set(AGAINST) - NOT_SYMMETRIC))
def test_a_distance_is_symmetric(name):
    a, b = normal(0), normal(1, 30, shift=0.5)
    assert against(name, a, b) == pytest.approx(against(name, b, a), rel=1e-9)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_too_few_images_are_nan_or_a_number_and_no_error(name, count):
    few, many = normal(0).take(np.arange(count)), normal(1)
    if name in ALONE:
        values = [MEASURES[name].alone(few)]
    elif count:
        values = [against(name, few, many), against(name, many, few)]
    else:
        values = [float("nan")]
    low, high = getattr(MEASURES[name], "RANGE", (-np.inf, np.inf))
    assert all(np.isnan(value) or low - 1e-9 <= value <= high + 1e-9 for value in values)


def white(seed, n=400, d=3):
    """Points whose sample mean and covariance are exactly 0 and 1."""
    raw = np.random.default_rng(seed).normal(size=(n, d))
    raw -= raw.mean(0)
    return raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T


def test_frechet_of_shifted_gaussians_is_the_squared_shift():
    z = white(0)
    shift = np.array([1.0, -2.0, 0.5])
    assert against("frechet", sample(z), sample(z + shift)) == pytest.approx(shift @ shift)


def test_frechet_of_gaussians_whose_axes_differ():
    """tr(A + B - 2 (A^1/2 B A^1/2)^1/2), by matrix roots of scipy."""
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(3)
    left, right = (rng.normal(size=(3, 3)) for _ in range(2))
    a, b = left @ left.T, right @ right.T
    expected = np.trace(a + b - 2 * np.real(sqrtm(sqrtm(a) @ b @ sqrtm(a))))
    got = against("frechet", sample(white(0) @ left.T), sample(white(1) @ right.T))
    assert got == pytest.approx(expected, rel=1e-8)


def test_frechet_is_the_same_by_images_and_by_dimensions():
    """More dimensions than images takes another road: constant features do not change a thing."""
    a, b = normal(0, 20, 3).features, normal(1, 25, 3, shift=1).features
    wide = [np.hstack([z, np.ones((len(z), 40))]) @ rotation(43) for z in (a, b)]
    narrow = against("frechet", sample(a), sample(b))
    assert against("frechet", *map(sample, wide)) == pytest.approx(narrow, rel=1e-9)
    caution = MEASURES["frechet"].caution
    assert caution(Pair(sample(a), sample(b))) is None
    assert "singular" in caution(Pair(*map(sample, wide)))


@pytest.mark.parametrize("name", ["kid", "mmd"])
def test_a_discrepancy_of_one_distribution_is_zero_on_the_mean(name):
    values = [against(name, normal(2 * i, 15), normal(2 * i + 1, 25)) for i in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values, ddof=1) / np.sqrt(400)
    # It would not be with an image's similarity to itself, and is not where the sets differ.
    shifted = [against(name, normal(2 * i, 15), normal(2 * i + 1, 25, shift=1)) for i in range(50)]
    assert np.mean(shifted) > 5 * np.std(values, ddof=1)


def test_kid_is_biased_low_where_prompts_have_fixed_numbers_of_images():
    """By (mean k within - mean k) (1/(n-1) + 1/(m-1)), as in its docstring."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.normal(size=(10, 4))

    def draw(n):
        return sample(centres[np.arange(n) % 10] + rng.normal(size=(n, 4)))

    values = [kid.against(Pair(draw(40), draw(60))) for _ in range(300)]
    many = draw(3000).features
    kernel, families = kid._kernel(many, many), np.arange(3000) % 10
    same = families[:, None] == families
    np.fill_diagonal(same, False)
    bias = -(kernel[same].mean() - kernel.mean()) * (1 / 39 + 1 / 59)
    error = np.std(values, ddof=1) / np.sqrt(300)
    assert np.mean(values) == pytest.approx(bias, abs=4 * error + 0.03 * abs(bias))
    assert bias < -20 * error


def test_kid_and_mmd_by_their_definitions():
    a, b = normal(0, 6), normal(1, 8)

    def expected(k):
        def mean(x, y, same):
            pairs = [
                k(p, q) for i, p in enumerate(x) for j, q in enumerate(y) if not (same and i == j)
            ]
            return np.mean(pairs)

        x, y = a.features, b.features
        return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)

    cubic = expected(lambda p, q: (p @ q / 3 + 1) ** 3)
    gaussian = expected(lambda p, q: np.exp(-((p - q) @ (p - q)) / (2 * mmd.SIGMA**2)))
    assert against("kid", a, b) == pytest.approx(cubic, rel=1e-9)
    assert against("mmd", a, b) == pytest.approx(1000 * gaussian, rel=1e-9)


def line(*places):
    return sample(np.array(places, float)[:, None])


def test_precision_and_recall_of_known_sets():
    """The reference is 0..9: balls reach to the third neighbour, 3 at the ends and 2 inside."""
    real = line(*range(10))
    # -3 is just inside the ball of 0, -3.1 outside; 20 is far away.
    assert against("precision", line(-3, -3.1, 4.2, 20), real) == 0.5
    # Balls of the sample 0, 1, 2, 3: to 3, 2, 2 and 3; they hold 0..6.
    assert against("recall", line(0, 1, 2, 3), real) == pytest.approx(7 / 10)
    assert against("precision", real, real) == against("recall", real, real) == 1
    far = sample(real.features + 1000)
    assert against("precision", far, real) == against("recall", far, real) == 0


def test_density_and_coverage_of_known_sets():
    """Fifth neighbours of 0..9: radii 5 4 3 3 3 3 3 3 4 5."""
    real = line(*range(10))
    # 0 lies in the balls of 0, 1, 2, 3; -5 in that of 0 only.
    assert against("density", line(0), real) == pytest.approx(4 / 5)
    assert against("coverage", line(0), real) == pytest.approx(4 / 10)
    assert against("density", line(0, -5), real) == pytest.approx((4 + 1) / 2 / 5)
    far = sample(real.features + 1000)
    assert against("density", far, real) == against("coverage", far, real) == 0


def test_density_and_coverage_of_one_distribution():
    """E density = 1, E coverage = 1 - (n-1)...(n-k) / ((2n-1)...(2n-k)) (Naeem et al. 2020)."""
    n, k = 40, 5
    pairs = [(normal(2 * i, n), normal(2 * i + 1, n)) for i in range(150)]
    steps = np.arange(1, k + 1)
    for name, expected in (
        ("density", 1),
        ("coverage", 1 - np.prod((n - steps) / (2 * n - steps))),
    ):
        values = [against(name, *pair) for pair in pairs]
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(expected, abs=3.5 * error)


def test_an_outlier_does_not_raise_density_as_it_raises_precision():
    real = sample(np.vstack([normal(0).features, [[50.0, 0, 0]]]))
    wrong = sample(normal(1).features + np.array([25.0, 0, 0]))
    assert against("precision", wrong, real) > 0.9
    assert against("density", wrong, real) < 0.25


def test_vendi_counts():
    assert MEASURES["vendi"].alone(sample(np.eye(7) * 3)) == pytest.approx(7)
    copies = np.tile(np.random.default_rng(0).normal(size=(1, 5)), (9, 1))
    assert MEASURES["vendi"].alone(sample(copies)) == pytest.approx(1)
    three = np.repeat(np.eye(3), [2, 4, 6], axis=0)
    p = np.array([2, 4, 6]) / 12
    assert MEASURES["vendi"].alone(sample(three)) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    # By images and by dimensions: the same eigenvalues.
    tall = np.random.default_rng(0).normal(size=(30, 4))
    wide = np.hstack([tall, np.zeros((30, 60))])
    score = MEASURES["vendi"].alone
    assert score(sample(wide)) == pytest.approx(score(sample(tall)))
    assert score(sample([[0.0, 0], [1, 0]])) == pytest.approx(2)


def test_copies_are_at_no_distance():
    real = normal(0)
    some = real.take(np.arange(10))
    assert against("nearest", some, real) == 0
    assert against("nearest_real", some, real) > 0
    assert against("nearest", line(0, 0.5, 12), line(*range(10))) == pytest.approx(
        (0 + 0.5 + 3) / 3
    )
    assert against("nearest_real", line(0), line(0, 1, 5)) == pytest.approx((1 + 1 + 4) / 3)


def test_clip_score_is_the_cosine_clipped():
    z, texts = np.array([[2.0, 0], [0, 1], [1, 1]]), np.array([[1.0, 0], [0, -4], [3, 0]])
    got = MEASURES["clip_score"].alone(sample(z, texts=texts))
    assert got == pytest.approx(100 * (1 + 0 + np.sqrt(0.5)) / 3)


def test_diversity_with_many_families_agrees_with_a_loop():
    features = normal(4)
    means = []
    for family in "abcde":
        z = features.features[[caption == family for caption in features.captions]]
        gaps = [np.linalg.norm(p - q) for i, p in enumerate(z) for q in z[:i]]
        means.append(np.mean(gaps))
    assert MEASURES["diversity"].alone(features) == pytest.approx(np.mean(means))
    assert metrics.diversity(features.features, features.captions) == pytest.approx(np.mean(means))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"features": np.zeros(3)}, "must be"),
        ({"features": np.array([[1.0], [np.nan]])}, "image 1 are not finite"),
        ({"features": np.zeros((3, 2)), "captions": ("a",)}, "1 captions"),
    ],
)
def test_a_set_that_is_none_is_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        Sample(**parts)


def test_different_features_cannot_be_compared():
    with pytest.raises(ValueError, match="3 features cannot be compared with 2"):
        Pair(normal(0), normal(0, d=2))


@pytest.mark.parametrize("name", ["vendi", "kid"])
def test_a_measure_that_fails_is_null_with_its_reason_and_costs_no_other(monkeypatch, name):
    a, b = normal(0), normal(1)
    untouched = metrics.of_generation(a, {"real": b}, "pixels", 0)["measures"]

    def fail(_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge\nat all")

    monkeypatch.setattr(MEASURES[name], "alone" if name in ALONE else "against", fail)
    measured = metrics.of_generation(a, {"real": b}, "pixels", 0)["measures"]
    others = [row for row in untouched if row["measure"] != name]
    assert [row for row in measured if row["measure"] != name] == others
    (row,) = (row for row in measured if row["measure"] == name)
    assert (row["value"], row["low"], row["high"]) == (None, None, None)
    assert row["caution"] == (
        f"{name} could not be measured: LinAlgError, Eigenvalues did not converge"
    )


def test_a_full_memory_is_not_taken_for_an_undefined_measure(monkeypatch):
    def fail(_):
        raise MemoryError

    monkeypatch.setattr(MEASURES["vendi"], "alone", fail)
    with pytest.raises(MemoryError):
        metrics.of_generation(normal(0), {}, "pixels", 0)
