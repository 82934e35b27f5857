"""Universal degradation: quality and diversity against generation, at each CFG scale."""

from matplotlib.figure import Figure

from figures.pieces import draw_curve, generations_below, legend_below, letters, plain_logarithm
from figures.study import Study
from figures.style import PAGE, scale_look
from figures.text import formula

NUMBER = 2
MADE_BY = "empirical/recipes/grid/embedded.toml, arm baseline, seeds 0 and 1"
CAPTION = (
    "Every scale degrades, in opposite ways. Quality: (a) Fréchet distance to real images that "
    "no model has seen (lower is better; its floor is the value of generation 0, which is real), "
    "(b) fraction of images recognised as their prompt. Diversity: (c) recall of real images, (d) "
    "Vendi score, the effective number of different images, (e) variance of the latents within "
    "prompts. (f) Quality against diversity; every path starts near the upper right, at "
    "generation 1, and ends at the large mark. High scales lose diversity first and quality "
    "later; without guidance (CFG 1) recall stays while precision and recognition decline. Lines: "
    "mean over seeds; bands: from lowest to highest."
)


def draw(study: Study) -> Figure:
    """Draw six panels of the runs that differ only in CFG scale."""
    scales = study.scales()
    figure = Figure(figsize=(PAGE, 4.1))
    axes = figure.subplots(2, 3)
    panels = {
        "frechet": ("Fréchet distance", "Fréchet distance (features²)"),
        "accuracy": ("recognition", "fraction recognised"),
        "recall": ("recall", "real images covered"),
        "vendi": ("Vendi score", "effective number of images"),
    }
    for axis, (measure, (title, unit)) in zip(axes.flat, panels.items(), strict=False):
        for scale, runs in scales.items():
            draw_curve(axis, study.measured(runs, measure), scale_look(scale))
        axis.set_title(title)
        axis.set_ylabel(unit)
        generations_below(axis)
    axes[0, 0].set_yscale("log")
    plain_logarithm(axes[0, 0].yaxis, [3, 10, 30, 100, 300])
    for axis in (axes[0, 1], axes[0, 2]):
        axis.set_ylim(0, 1.03)
    for scale, runs in scales.items():
        look = scale_look(scale)
        draw_curve(axes[1, 1], study.variance(runs, "within"), look)
        precision, recall = (
            study.measured(runs, name).mean[1:] for name in ("precision", "recall")
        )
        path = {**look.settings(), "markersize": 1.5}
        axes[1, 2].plot(recall, precision, **path)
        axes[1, 2].plot(recall[-1:], precision[-1:], **{**path, "markersize": 6})
    axes[1, 1].set_title("variance within prompts")
    formula(axes[1, 1].set_ylabel("$V_W$ / $V_W$ of generation 0"))
    axes[1, 1].set_ylim(bottom=0)
    generations_below(axes[1, 1])
    axes[1, 2].set(title="quality against diversity", xlim=(-0.03, 1), ylim=(0, 1.03))
    axes[1, 2].set_xlabel("recall")
    axes[1, 2].set_ylabel("precision")
    letters(axes.flat)
    legend_below(figure, [scale_look(scale) for scale in scales])
    return figure
