"""Arms: the moments of a trait along one chain, with the settings that models need."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.levels import SIGMA, scales
from analysis.arms.record import Record
from analysis.arms.sampling import least_of, sampling_variances, spread_of
from empirical.errors import UserError
from empirical.runs.record import Run

# More components than this are averaged.
_SEPARATE = 16
# Traits in the space of the sampler, so that noise levels have their units.
_LATENT = ("latent", "latent_pc")
# Settings of finetuning whose effect theories describe.
DESCRIBED = ("condition_drop", "training_set", "real_fraction")
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
    spread = spread_of(run, trait, captions, np.unique(table["component"]), pooled, G, separated)
    draws = 1 + run.recipe.measure.replicate_count if separated else 1
    sampling = sampling_variances(*parts, images, families, pooled, spread, draws)
    axes = parts[0][0] + np.maximum(parts[1][0], 0.0)
    if pooled:
        V_W, V_B, m = (x.mean(axis=1, keepdims=True) for x in (V_W, V_B, m))
    if separated:
        V_B = np.maximum(V_B, V_W * least_of(parts[0], images, families, pooled, draws))
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
    tables = run.recipe.settings.experiment()
    finetune = {key: value for key, value in tables["finetune"].items() if key not in DESCRIBED}
    return repr((tables["model"]["name"], tables["data"], finetune, tables["generate"]["sampler"]))


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
