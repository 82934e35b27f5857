"""Arms: the moments of a trait along one chain, with the settings that models need."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from analysis.arms.levels import SIGMA, scales
from analysis.arms.record import Record
from empirical.errors import UserError
from empirical.runs.record import Run

# More components than this are averaged.
_SEPARATE = 16
# Traits in the space of the sampler, so that noise levels have their units.
_LATENT = ("latent", "latent_pc")
# Images a prompt from which on the squares within prompts show their own scatter, and prompts from
# which on the variances of prompts do.
_IMAGES, _PROMPTS = 8, 8
QUANTITIES = ("mean", "within", "between")


@dataclass(frozen=True)
class Arm:
    """Moments of a trait of D components over G generations after generation 0.

    `measured` [G + 1, 3, D] holds the mean, ln V_W and ln V_B; `sampling` [G + 1, 3, D] the
    variances of their sampling errors. Means are deviations from generation 0's, in its standard
    deviations; variances are in units of generation 0's V_W + V_B, `unit` [D] (feature units
    squared), around `centre` [D].

    `scales` [G, L] is the guidance w at the noise levels; `noise` [L, D] the variance of the noise
    there, relative to that of the axes along which the trait varies; `label` the scale of the
    recipe, by which arms are held out together. `dropped` is the probability of condition drop,
    `real` the fraction of real images in training sets, `mutation` [D] the variance of the noise
    added to training images. `families` is the number of prompts, `images` that of images.
    `components` [D] are those of the trait, (0,) for an average.
    """

    name: str
    seed: int
    trait: str
    measured: Float[np.ndarray, "T 3 D"]
    sampling: Float[np.ndarray, "T 3 D"]
    unit: Float[np.ndarray, " D"]
    centre: Float[np.ndarray, " D"]
    scales: Float[np.ndarray, "G L"]
    noise: Float[np.ndarray, "L D"]
    label: float
    dropped: float
    real: float
    mutation: Float[np.ndarray, " D"]
    families: int
    images: int
    stochastic: bool
    separated: bool = False
    components: tuple[int, ...] = (0,)

    @property
    def family_size(self) -> float:
        """Images whose mean a prompt's measured V_B is of: n, or infinity where it is of prompts
        themselves."""
        return np.inf if self.separated else self.images / self.families

    @property
    def generations(self) -> int:
        """Number of generations after generation 0."""
        return len(self.measured) - 1

    @property
    def constant(self) -> bool:
        """Whether the scale is constant, without condition drop, real images or noise."""
        plain = self.dropped == 0 and self.real == 0 and not self.mutation.any()
        return plain and bool(np.all(self.scales == self.scales.flat[0]))

    def until(self, generations: int) -> "Arm":
        """Return the arm up to a generation."""
        return replace(
            self,
            measured=self.measured[: generations + 1],
            sampling=self.sampling[: generations + 1],
            scales=self.scales[:generations],
        )


def arm(run: Record, trait: str = "latent", components: Sequence[int] | None = None) -> Arm:
    """Read an arm from ``moments.csv`` and the recipe.

    Traits of many components, such as `latent`, are averaged over them. Raises `UserError` for a
    trait that is missing or does not vary, numbers that are not finite, a single generation, or
    settings that no model describes.
    """
    captions = run.generation(0).captions
    families = len(set(captions))
    table, pooled = _table(run, trait, components)
    separated = "how" in table and bool((table["how"] == "replicates").any())
    _require_families(run, captions, table, separated)
    _refuse(run, table, trait)
    moments = {q: _pivot(table, q) for q in (*QUANTITIES, "n")}
    V_W, V_B, m = moments["within"], moments["between"], moments["mean"]
    G, images = len(m) - 1, int(moments["n"].min())
    parts = _parts(run, trait, V_W, V_B) if pooled else (V_W, V_B)
    spread = _spread(run, trait, captions, np.unique(table["component"]), pooled, G, separated)
    draws = 1 + run.recipe.measure.replicate_count if separated else 1
    sampling = _sampling(*parts, images, families, pooled, spread, draws)
    axes = parts[0][0] + np.maximum(parts[1][0], 0.0)
    if pooled:
        V_W, V_B, m = (x.mean(axis=1, keepdims=True) for x in (V_W, V_B, m))
    if separated:
        V_B = np.maximum(V_B, V_W * _least(parts[0], images, families, pooled, draws))
    unit = V_W[0] + V_B[0]
    # An average over coordinates varies along a few axes: noise is relative to their variance.
    along = np.square(axes).sum(keepdims=True) / axes.sum() if pooled else axes
    # A trait that has collapsed completely keeps a finite logarithm.
    log = lambda V: np.log(np.maximum(V / unit, 1e-12))
    settings = run.recipe.settings
    noise = settings.remedy.latent_noise() if settings.remedy is not None else 0.0
    latent = trait in _LATENT
    rule = settings.generate.guidance
    kind = settings.finetune.training_set
    return Arm(
        run.name,
        settings.seed,
        trait,
        np.stack([(m - m[0]) / np.sqrt(unit), log(V_W), log(V_B)], axis=1),
        sampling,
        unit,
        m[0],
        scales(run, G),
        np.square(SIGMA)[:, None] / (along if latent else np.ones_like(unit)),
        float(rule.scale),
        settings.finetune.condition_drop,
        {"mix": settings.finetune.real_fraction, "real": 1.0}.get(kind, 0.0),
        noise**2 / unit if latent else np.zeros_like(unit),
        families,
        images,
        settings.generate.sampler in ("ddpm", "euler_ancestral"),
        separated,
        (0,) if pooled else tuple(int(c) for c in np.unique(table["component"])),
    )


def arms(
    runs: Iterable[Run], trait: str = "latent", components: Sequence[int] | None = None
) -> tuple[list[Arm], list[str]]:
    """Read the arms that can share parameters; return them and why other runs were left out.

    Parameters such as heritability depend on finetuning and sampling. Runs that differ from most
    in these are left out, as are runs that no model describes. Raises `UserError` where none is
    left.
    """
    runs = list(runs)
    ways = [_way(run) for run in runs]
    usual = max(ways, key=ways.count) if ways else ""
    kept, left_out = [], []
    for run, way in zip(runs, ways, strict=True):
        if way != usual:
            left_out.append(f"the run '{run.name}' is finetuned or sampled differently from most")
            continue
        try:
            kept.append(arm(run, trait, components))
        except UserError as error:
            left_out.append(str(error))
    if not kept:
        raise UserError("; ".join(left_out) or "a fit needs a run")
    return kept, left_out


def _way(run: Run) -> str:
    """Return the settings that arms must have in common to share a heritability, as text."""
    settings = run.recipe.settings
    finetune = settings.finetune.model_dump(
        exclude={"condition_drop", "training_set", "real_fraction", "micro_batches"}
    )
    generate = settings.generate.model_dump(include={"sampler"})
    return repr((settings.model.name, settings.data.model_dump(), finetune, generate))


def _require_families(
    run: Record, captions: Sequence[str], table: pd.DataFrame, separated: bool
) -> None:
    """Raise `UserError` where variance within and between prompts cannot be separated."""
    prompts = list(dict.fromkeys(captions))
    if len(prompts) < 2:
        raise UserError(
            f"the run '{run.name}' has one prompt for all of its {len(captions)} images "
            f"('{prompts[0]}'), so that nothing varies between prompts: a fit needs two prompts or "
            f"more"
        )
    if len(prompts) >= len(captions) and not separated:
        raise UserError(
            f"the run '{run.name}' has {len(prompts)} different prompts for its {len(captions)} "
            f"images, so that nothing varies within a prompt: a fit needs further images of each, "
            f"which `qtm measure RUN {_missing(run)}` draws where its weights are there"
        )
    first = table[table["generation"] == 0]
    if separated and first["within"].isna().any():
        raise UserError(
            f"the run '{run.name}' has further images of its prompts but none of the base model, "
            f"which tell V_W of generation 0: `qtm measure RUN unguided` draws them where its "
            f"weights are there"
        )


def _missing(run: Record) -> str:
    """Return the names of the draws which distinguish V_W and V_B, and which a run lacks."""
    return "replicates" if run.recipe.measure.unguided else "unguided replicates"


def _refuse(run: Record, table: pd.DataFrame, trait: str) -> None:
    if len(run.generations()) < 2 or table["generation"].to_numpy().max() < 1:
        raise UserError(f"the run '{run.name}' has no generation after generation 0 to fit yet")
    wrong = table[~np.isfinite(table[["mean", "within", "between"]]).all(axis=1)]
    if len(wrong):
        row = wrong.iloc[0]
        raise UserError(
            f"the moments of '{trait}' in generation {row['generation']:.0f} of '{run.name}' are "
            f"not finite: mean {row['mean']}, within {row['within']}, between {row['between']}"
        )
    first = pd.DataFrame(table[table["generation"] == 0])
    V_W, V_B = (first[name].to_numpy(float) for name in ("within", "between"))
    by_base = "how" in table and bool((table["how"] == "base model").any())
    if by_base and not (V_B > 0).any():
        raise UserError(
            f"the real images of '{run.name}' vary no more in '{trait}' than images of one prompt "
            f"from the base model: V_B of generation 0, from which theories start, is not above 0"
        )
    if not (V_W > 0).any() or not (V_B > 0).any():
        raise UserError(
            f"trait '{trait}' of '{run.name}' does not vary within and between prompts in "
            f"generation 0"
        )
    settings = run.recipe.settings
    kind = settings.finetune.training_set
    if kind not in ("replace", "mix", "real"):
        raise UserError(
            f"the run '{run.name}' learns from '{kind}', but models describe 'replace', "
            f"'mix', 'real'"
        )
    if settings.finetune.start_from != "base":
        raise UserError(
            f"the run '{run.name}' starts from the previous model, but models describe a "
            f"start from the base"
        )
    if settings.remedy is not None and settings.remedy.name == "filter":
        raise UserError(f"the run '{run.name}' filters its training sets, which no model describes")


def _table(run: Record, trait: str, components: Sequence[int] | None) -> tuple[pd.DataFrame, bool]:
    """Return the rows of a trait's varying components, and whether to average them."""
    moments = run.moments()
    complete = len(run.generations())
    chosen = (moments["feature"] == trait) & (moments["generation"] < complete)
    table = pd.DataFrame(moments[chosen])
    if table.empty:
        known = ", ".join(sorted(moments["feature"].unique()))
        raise UserError(f"'{run.folder}' has no trait '{trait}', it has {known}")
    available = sorted(table["component"].unique())
    if components is not None:
        missing = [c for c in components if c not in available]
        if missing:
            raise UserError(
                f"trait '{trait}' has no component {missing[0]}, allowed are 0 to {available[-1]}"
            )
        table = pd.DataFrame(table[table["component"].isin(components)])
    pooled = components is None and (
        len(available) > _SEPARATE or trait in ("latent", "classifier")
    )
    if not pooled:
        # A millionth of the typical variance is rounding, not a trait.
        first = pd.DataFrame(table[table["generation"] == 0])
        V_W, V_B = (first[name].to_numpy(float) for name in ("within", "between"))
        varies = first["component"].to_numpy()[(1e-6 * np.median(V_W) < V_W) & (V_B > 0)]
        if len(varies):
            table = pd.DataFrame(table[table["component"].isin(list(varies))])
    return table, pooled


def _pivot(table: pd.DataFrame, quantity: str) -> Float[np.ndarray, "T d"]:
    return table.pivot(index="generation", columns="component", values=quantity).to_numpy(float)


def _parts(
    run: Record, trait: str, V_W: Float[np.ndarray, "T d"], V_B: Float[np.ndarray, "T d"]
) -> tuple[Float[np.ndarray, "T p"], Float[np.ndarray, "T p"]]:
    """Return V_W and V_B of uncorrelated components, which determine the error of their average."""
    moments = run.moments()
    scores = pd.DataFrame(moments[moments["feature"] == "latent_pc"])
    if trait != "latent" or scores.empty:
        return V_W, V_B
    scores = pd.DataFrame(scores[scores["generation"] < len(V_W)])
    return _pivot(scores, "within"), _pivot(scores, "between")


def _spread(
    run: Record,
    trait: str,
    captions: list[str],
    components: np.ndarray,
    pooled: bool,
    G: int,
    separated: bool,
) -> Float[np.ndarray, "T d"] | None:
    """Return Var(q)/E(q)^2 within prompts, [G + 1, 1 or D], of the squared deviations q of images.

    q = (z - z_c)^2, summed over components for an average, so that correlations and tails are
    included. A normal trait has 2. None where the trait of each image was not kept, or where there
    are too few images and prompts to tell.

    The deviations of few images of one prompt determine each other: those of two are equal but for
    their sign. With fewer than `_IMAGES` a prompt the sums over prompts, s_c, scatter instead:
    sum_c [s_c - V_W (n_c - 1)]^2/[(N - C) V_W^2]. This includes how prompts differ in V_W.
    """
    name = "latent_pc" if trait == "latent" else trait
    ratios = []
    for t in range(G + 1):
        generation = run.generation(t)
        if name not in generation.traits() or list(generation.captions) != captions:
            return None
        prompts, z = captions, generation.trait(name)
        if separated:
            more = generation.replicates()
            if more is None:
                return None
            prompts, z = [*more.captions], more.trait(name)
            if t:
                prompts, z = [*captions, *prompts], np.concatenate([generation.trait(name), z])
        z = z.astype(float).reshape(len(prompts), -1)
        z = z if name != trait else z[:, components]
        families = np.unique(prompts, return_inverse=True)[1]
        q = np.square(_within(z, families))
        q = q.sum(axis=1, keepdims=True) if pooled else q
        sizes = np.bincount(families)
        freedom = len(prompts) - len(sizes)
        if len(prompts) >= _IMAGES * len(sizes):
            variance = np.square(_within(q, families)).sum(axis=0) / freedom
            ratios.append(variance / np.maximum(np.square(q.mean(axis=0)), 1e-300))
        elif (sizes > 1).sum() >= _PROMPTS:
            sums = np.zeros((len(sizes), q.shape[1]))
            np.add.at(sums, families, q)
            V_W = q.sum(axis=0) / freedom
            squares = np.square(sums - V_W * (sizes - 1)[:, None]).sum(axis=0)
            ratios.append(squares / freedom / np.maximum(np.square(V_W), 1e-300))
        else:
            return None
    return np.stack(ratios)


def _least(
    V_W: Float[np.ndarray, "T d"], images: int, families: int, pooled: bool, draws: int
) -> Float[np.ndarray, "T D"]:
    """Return the least V_B that replicates can show, over V_W: the standard error that V_B has
    where prompts do not differ, sqrt(2/[n (n - 1) (C - 1)]), n = draws N/C.

    An estimate of V_B has no sampling part, and may be 0 or below; its logarithm is then that of
    this limit. `V_W` are of uncorrelated components, over which an average is less uncertain.
    """
    n = draws * images / families
    error = np.sqrt(2 / (n * (n - 1) * max(families - 1, 1)))
    if not pooled:
        return np.full_like(V_W, error)
    sums = V_W.sum(axis=1, keepdims=True)
    return error * np.sqrt(np.square(V_W).sum(axis=1, keepdims=True)) / np.maximum(sums, 1e-300)


def _within(
    x: Float[np.ndarray, "N d"], families: Int[np.ndarray, " N"]
) -> Float[np.ndarray, "N d"]:
    """Return the deviations from the means of families."""
    sums = np.zeros((families.max() + 1, x.shape[1]))
    np.add.at(sums, families, x)
    return x - (sums / np.bincount(families)[:, None])[families]


def _sampling(
    V_W: Float[np.ndarray, "T d"],
    V_B: Float[np.ndarray, "T d"],
    images: int,
    families: int,
    pooled: bool,
    spread: Float[np.ndarray, "T D"] | None,
    draws: int = 1,
) -> Float[np.ndarray, "T 3 D"]:
    """Return the variances [G + 1, 3, D] of the sampling errors of the mean, ln V_W and ln V_B.

    Var(m) = V_W/N;  Var(ln V_W) = Var(q)/[E(q)^2 (N - C)] with q the squared deviation of an image
    from its prompt's mean, which is 2/(N - C) for a normal trait;  and, because prompts are the
    same in every generation and only their means are drawn anew,
    Var(ln V_B) = 4 V_W/[n (C - 1) V_B] with n = N/C. For an average over components the numerators
    and denominators are sums. Where `draws` of all images together separate V_W from V_B,
    n = draws N/C and Var(ln V_B) = [4 V_W V_B/n + 2 V_W^2/(n (n - 1))]/[(C - 1) V_B^2], at most 1:
    that of a V_B at its limit (see `_least`).
    """
    n = draws * images / families
    if draws > 1:
        V_B = np.maximum(V_B, 0.0)
    unit = V_W[0] + V_B[0]
    if pooled:
        sums = lambda x: x.sum(axis=1, keepdims=True)
        count = V_W.shape[1]
        mean = sums(V_W) / (images * sums(unit[None]) * count)
        normal = 2 * sums(np.square(V_W)) / np.square(sums(V_W))
        B = np.maximum(sums(V_B), 1e-12)
        between = 4 * sums(V_W * V_B) / (n * (families - 1) * np.square(B))
        rest = 2 * sums(np.square(V_W)) / (n * (n - 1) * (families - 1) * np.square(B))
    else:
        mean = V_W / (images * unit)
        normal = np.full_like(V_W, 2.0)
        B = np.maximum(V_B, 1e-12)
        between = 4 * V_W / (n * (families - 1) * B)
        rest = 2 * np.square(V_W / B) / (n * (n - 1) * (families - 1))
    freedom = draws * images - families
    within = (normal if spread is None else np.maximum(spread, 1e-6)) / freedom
    # Where a variance is mostly sampling error, the expansion fails.
    if draws > 1:
        return np.stack([mean, within, np.minimum(between + rest, 1.0)], axis=1)
    return np.stack([mean, within, np.minimum(between, 2 / (families - 1))], axis=1)
