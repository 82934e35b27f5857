"""Guided predictions of every rule, on an exact denoiser."""

import numpy as np
import pytest
import torch

from empirical.conditioning import Conditioning
from empirical.errors import UserError
from empirical.generator.sampling import levels_of, prepare, sample_latents
from empirical.guidance._step import Step
from empirical.seeds import seed_of
from tests.helpers import rounding
from tests.helpers.guidance_examples import EXAMPLES, RULES, make
from tests.helpers.toy_denoiser import Toy

PROMPTS = ["a", "b", "c", "a", "b"]
SEEDS = [seed_of("guidance steps", i) for i in range(5)]
KINDS = ("epsilon", "v_prediction", "sample")
ALLOWED = {}


def drawn(rule, model=None, prompts=PROMPTS, seeds=SEEDS, sampler="ddim", steps=6, **options):
    model = model or Toy()
    weak = Toy(variance=0.8).denoise if rule.weak else None
    return sample_latents(
        model, prompts, seeds, rule, sampler, steps, **{"weak": weak, **options}
    ).numpy()


def constant(scale):
    return make("constant", scale=scale)


class Disturbed(Toy):
    """A denoiser whose predictions pass through a function."""

    def __init__(self, disturb, *rest, **options):
        super().__init__(*rest, **options)
        self.disturb = disturb

    def denoise(self, latents, time, conditioning):
        return self.disturb(super().denoise(latents, time, conditioning))


def allowed(rule, predicts="epsilon", **options):
    """How far images of a rule lie apart where predictions are rounded in another way.

    At high noise a clean image is a difference over sqrt(abar), which is 0.007 at the first step,
    and guidance multiplies by its scale: the rules differ a hundredfold, and are measured.
    """
    key = repr((rule, predicts, options))
    if key not in ALLOWED:
        ALLOWED[key] = rounding.of_perturbation(
            lambda disturb: drawn(rule, Disturbed(disturb, predicts), **options)
        )
    return ALLOWED[key]


def agree(ours, theirs, rule, *rest, **options):
    tolerance = allowed(rule, *rest, **options)
    assert tolerance < 5e-3, "a tolerance that would hide an error"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# CFG++ renoises with the unconditional prediction whatever its scale: it has no neutral settings.
@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.neutral])
@pytest.mark.parametrize("predicts", KINDS)
def test_without_guidance_every_rule_is_the_conditional_prediction(name, predicts):
    ours = drawn(make(name, **RULES[name].neutral), Toy(predicts))
    agree(ours, drawn(constant(1.0), Toy(predicts)), constant(1.0), predicts)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_images_are_finite_differ_from_no_guidance_and_from_no_prompt(name, example):
    ours = drawn(make(name, **example))
    assert ours.dtype == np.float32
    assert np.isfinite(ours).all()
    for scale in (0.0, 1.0):
        assert np.abs(ours - drawn(constant(scale))).max() > 0.01


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
@pytest.mark.parametrize("pooled", [False, True])
def test_an_image_does_not_depend_on_its_batch(name, example, pooled):
    rule, model = make(name, **example), Toy(pooled=pooled)
    together = drawn(rule, model)
    for rows in ([3], [4, 0]):
        apart = drawn(rule, model, [PROMPTS[i] for i in rows], [SEEDS[i] for i in rows])
        agree(apart, together[rows], rule)


# Rescaling acts on the std of the prediction itself, whatever its type.
@pytest.mark.parametrize(("name", "example"), [pair for pair in EXAMPLES if pair[0] != "rescale"])
def test_noise_v_and_clean_image_are_guided_alike(name, example):
    rule = make(name, **example)
    weak = {kind: Toy(kind, variance=0.8).denoise for kind in KINDS} if rule.weak else {}
    first, *others = (drawn(rule, Toy(kind), weak=weak.get(kind)) for kind in KINDS)
    for other in others:
        agree(other, first, rule)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
@pytest.mark.parametrize("sampler", ["ddpm", "dpm++", "heun", "euler_ancestral"])
def test_every_rule_takes_every_sampler_it_is_defined_for(name, example, sampler):
    rule = make(name, **example)
    if rule.samplers and sampler not in rule.samplers:
        with pytest.raises(UserError, match=sampler.replace("+", r"\+")):
            drawn(rule, sampler=sampler)
    else:
        ours = drawn(rule, sampler=sampler)
        assert np.isfinite(ours).all()
        np.testing.assert_array_equal(ours, drawn(rule, sampler=sampler))


@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 2.5])
def test_guided_ddim_has_the_variance_that_its_ode_has(scale):
    """V = V_c^w V_u^(1-w) for normal distributions, whatever their means.

    The solution of the probability-flow ODE of guided normal scores; DDIM is its Euler scheme in
    sigma, first order in the steps. Latents are linear in the noise they start from.
    """
    model = Toy(variance=0.6, null_variance=1.0)
    ours = drawn(constant(scale), model, ["a"] * 5, steps=500)
    starts = torch.stack(
        [torch.randn(model.latent_shape, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    ).numpy()
    slopes = (ours[1:] - ours[:1]) / (starts[1:] - starts[:1])
    # Some starts lie 1e-2 apart, and their images are divided by that.
    near = np.abs(starts[1:] - starts[:1]).min()
    assert np.ptp(slopes) < 4 * rounding.float32_error(np.abs(ours).max(), 500**0.5) / near
    assert np.median(slopes) ** 2 == pytest.approx(0.6**scale, rel=12 / 500)


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        (constant(1.0), 5),
        (constant(0.0), 5),
        (constant(-1.0), 10),
        (make("choice", among=[0.0, 1.0]), 5),
        (make("interval", scale=3.0, low=0.0, high=0.5, of="progress"), 7.5),
        (make("apg", scale=1.0), 5),
        (make("rescale", scale=0.0), 10),
        (make("autoguidance", scale=2.0), 5),
        (make("autoguidance", scale=0.0), 0),
    ],
)
def test_the_denoiser_is_asked_only_for_what_has_weight(rule, passes):
    model = Toy()
    drawn(rule, model, steps=4)
    assert sum(model.asked) == passes * 4


def test_images_with_scales_of_their_own_are_those_of_constant_scales():
    rule = make("choice", among=[0.0, 1.0, 4.0, -2.0])
    scales = rule.scales(levels_of(prepare(Toy(), "ddim", 6)), seeds=SEEDS)[0]
    assert len(set(scales)) > 2
    ours = drawn(rule)
    for i, scale in enumerate(scales):
        alone = drawn(constant(float(scale)), prompts=PROMPTS[i : i + 1], seeds=SEEDS[i : i + 1])
        agree(ours[i], alone[0], constant(float(scale)))


def test_the_generation_reaches_the_rule():
    rule = make("generation_decay", scale=6.0, rate=0.25, shape="linear")
    np.testing.assert_array_equal(drawn(rule, generation=3), drawn(constant(3.5)))


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 7), ("ddim", 20), ("euler", 7)])
def test_cfg_plus_plus_as_a_schedule_is_cfg_plus_plus_as_it_is_defined(sampler, steps):
    """Clean image from the guided noise, renoised with the unconditional one, step by step."""
    model, scale = Toy(), 0.6
    levels = levels_of(prepare(model, sampler, steps))
    prompts, null = model.embed(PROMPTS), model.embed([""]).expand(len(PROMPTS))
    x = torch.stack(
        [torch.randn(model.latent_shape, generator=torch.Generator().manual_seed(s)) for s in SEEDS]
    )
    scheduler = prepare(model, sampler, steps)
    if sampler == "euler":
        # Its initial noise has std sigma, a little more than ours.
        x = x * float(scheduler.init_noise_sigma) * levels.alpha_cumprod[0] ** 0.5
    for time, now, after in zip(
        scheduler.timesteps, levels.alpha_cumprod, levels.alpha_cumprod_next, strict=True
    ):
        e_u, e_c = model.denoise(x, time, null), model.denoise(x, time, prompts)
        clean = (x - (1 - now) ** 0.5 * (e_u + scale * (e_c - e_u))) / now**0.5
        x = after**0.5 * clean + (1 - after) ** 0.5 * e_u
    ours = drawn(make("cfg_plus_plus", scale=scale), sampler=sampler, steps=steps)
    agree(ours, x.numpy(), constant(scale), sampler=sampler, steps=steps)
    assert np.abs(ours - drawn(constant(scale), sampler=sampler, steps=steps)).max() > 0.05


def test_autoguidance_compares_with_the_weak_model_under_the_same_prompt():
    strong, weak = Toy(variance=0.5), Toy(variance=0.8)

    class Mixed(Toy):
        def denoise(self, latents, time, conditioning):
            e, e_weak = (
                strong.denoise(latents, time, conditioning),
                weak.denoise(latents, time, conditioning),
            )
            return e_weak + 3 * (e - e_weak)

    ours = drawn(make("autoguidance", scale=3.0), strong, weak=weak.denoise)
    agree(ours, drawn(constant(1.0), Mixed()), constant(3.0))
    only = drawn(make("autoguidance", scale=0.0), strong, weak=weak.denoise)
    np.testing.assert_array_equal(only, drawn(constant(1.0), weak))
    assert make("autoguidance", scale=3.0, against="previous").weak == "previous"
    with pytest.raises(UserError, match=r"'autoguidance' compares .*'base'.* none was given"):
        drawn(make("autoguidance", scale=3.0), weak=None)


def test_apg_without_its_parts_is_constant_guidance():
    ours = drawn(make("apg", scale=4.0, parallel=1.0))
    agree(ours, drawn(constant(4.0)), constant(4.0))


def step_of(predicts="epsilon", scale=3.0, memory=None, alpha=0.3):
    """One step over random latents, and the two random predictions it will give."""
    key = torch.Generator().manual_seed(5)
    seen, e_c, e_u = (torch.randn(2, 2, 4, 4, generator=key) for _ in range(3))

    def predict(latents, time, conditioning):
        return torch.cat([e_u, e_c])[-len(latents) :]

    step = Step(
        x_t=seen,
        timestep=torch.tensor(1),
        scales=np.full(2, scale),
        alpha_cumprod=alpha,
        predicts=predicts,
        memory={} if memory is None else memory,
        predict=predict,
        conditional=Conditioning(torch.ones(2, 3, 5)),
        null=Conditioning(torch.zeros(1, 3, 5)),
    )
    return step, e_c, e_u


@pytest.mark.parametrize("predicts", KINDS)
def test_predictions_and_clean_images_are_each_others_inverse(predicts):
    step, e_c, _ = step_of(predicts)
    torch.testing.assert_close(step.prediction(step.clean(e_c)), e_c)
    # x = a x0 + s e and v = a e - s x0.
    a, s = 0.3**0.5, 0.7**0.5
    clean, noise = (
        step.clean(e_c),
        {"epsilon": e_c, "sample": (step.x_t - a * e_c) / s}.get(predicts, a * e_c + s * step.x_t),
    )
    torch.testing.assert_close(a * clean + s * noise, step.x_t)


@pytest.mark.parametrize("predicts", KINDS)
def test_apg_drops_what_is_parallel_and_bounds_the_rest(predicts):
    step, e_c, e_u = step_of(predicts)
    D_c, D_u = step.clean(e_c), step.clean(e_u)
    D = step.clean(make("apg", scale=3.0, norm_threshold=0.5).guide(step))
    update = (D - D_c) / 2
    for i in range(2):
        # Differences of clean images up to 8, 32 products of two of them.
        apart = rounding.float32_error(D_c.abs().max().item(), 4)
        assert (
            abs(torch.dot(update[i].flatten(), D_c[i].flatten())) < apart * D_c[i].norm() * 32**0.5
        )
        difference = (D_c - D_u)[i].flatten()
        unit = D_c[i].flatten() / D_c[i].norm()
        across = difference - torch.dot(difference, unit) * unit
        expected = across * 0.5 / difference.norm()
        torch.testing.assert_close(update[i].flatten(), expected, atol=apart, rtol=0)


def test_apg_remembers_its_differences():
    memory = {}
    step, e_c, e_u = step_of(memory=memory)
    rule = make("apg", scale=3.0, momentum=-0.5, parallel=1.0)
    difference = step.clean(e_c) - step.clean(e_u)
    updates = [step.clean(rule.guide(step_of(memory=memory)[0])) - step.clean(e_c) for _ in "123"]
    for update, factor in zip(updates, (1, 0.5, 0.75), strict=True):
        # Converted to predictions and back, and divided by sqrt(0.3) each time.
        apart = rounding.float32_error(2 * difference.abs().max().item(), 8)
        torch.testing.assert_close(update, 2 * factor * difference, atol=apart, rtol=0)


def test_rescale_restores_the_deviation_of_the_conditional_prediction():
    step, e_c, e_u = step_of()
    guided = e_u + 3 * (e_c - e_u)
    full = make("rescale", scale=3.0, phi=1.0).guide(step)
    torch.testing.assert_close(full.std(dim=(1, 2, 3)), e_c.std(dim=(1, 2, 3)))
    half = make("rescale", scale=3.0, phi=0.5).guide(step)
    torch.testing.assert_close(half, (full + guided) / 2)
    torch.testing.assert_close(make("rescale", scale=3.0, phi=0.0).guide(step), guided)


def test_cads_noise_keeps_the_moments_of_a_prompt_and_is_keyed_by_the_image():
    key = torch.Generator().manual_seed(2)
    pooled = torch.randn(2, 40, generator=key) + 1
    prompts = Conditioning(torch.randn(2, 30, 40, generator=key) * 3 + 2, pooled)
    rule = make("cads", scale=2.0)
    for progress in (0.0, 0.2, 0.3):
        noised = rule.condition(prompts, progress, 4, [11, 12])
        for ours, clean in ((noised.hidden, prompts.hidden), (noised.pooled, pooled)):
            axes = tuple(range(1, clean.ndim))
            torch.testing.assert_close(ours.mean(dim=axes), clean.mean(dim=axes))
            torch.testing.assert_close(ours.std(dim=axes), clean.std(dim=axes))
            assert (ours - clean).std() > 0.1
        alone = rule.condition(prompts[[1]], progress, 4, [12])
        torch.testing.assert_close(alone.hidden, noised.hidden[1:])
        again = rule.condition(prompts[[1]], progress, 5, [12])
        assert (again.hidden - alone.hidden).abs().max() > 0.1
    assert rule.condition(prompts, 0.5, 4, [11, 12]) is prompts
    low = Conditioning(prompts.hidden.bfloat16())
    assert rule.condition(low, 0.2, 0, [11, 12]).hidden.dtype == torch.bfloat16


def test_cads_noise_has_its_strength():
    """Without rescaling, y' = sqrt(g) y + s sqrt(1 - g) n, g = 1/2 at t = 0.75."""
    prompts = Conditioning(torch.ones(1, 100, 100))
    rule = make("cads", scale=2.0, noise=0.25, mixing=0.0)
    noised = rule.condition(prompts, 0.25, 0, [3]).hidden
    deviation = 0.25 * 0.5**0.5
    assert noised.mean().item() == pytest.approx(0.5**0.5, abs=3 * deviation / 100)
    assert noised.std().item() == pytest.approx(deviation, rel=3 / 20000**0.5)
