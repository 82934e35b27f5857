"""Numbers of the documents that no verification measures, and where they come from.

`RECORDED`: measured once, on machines or with effort that are not at hand again; the log has the
measurement in the words of `source`, which a test finds there. `DEFINED`: numbers that define
something, or count by words; `source` is the file of the code or of the test that holds them.
"""

from dataclasses import dataclass

from tests.verification.expectations import Claim

IMAGES, SERIES = "docs/images.md", "docs/trait-series.md"


@dataclass(frozen=True)
class Recorded:
    """A claim and its source: words of the log, or the path of a file."""

    claim: Claim
    source: str


RECORDED = tuple(
    Recorded(Claim(place, text), source)
    for place, text, source in (
        (
            "docs/measured.md",
            "which took eight minutes on one H100",
            "on an H100 with 15 chains at a time under NVIDIA's multi-process service: eight "
            "minutes in all.",
        ),
        (
            IMAGES,
            # 14 + 42 s beside the 56 s of a generation, 28 of them for sampling, at 50 steps.
            "Sampling takes three times as long, a generation of the embedded model half as long "
            "again, with 50 sampling steps twice as long;",
            "costs 14 s, a quarter of a generation; a replicate with and without guidance 42 s",
        ),
        (
            "docs/runs.md",
            "about a sixth more time on two cores, a quarter with 50 sampling steps.",
            "Each of the two sets without guidance (of the base model and of the generation) costs "
            "14 s, a quarter of a generation",
        ),
        (
            "docs/install.md",
            "4 minutes beside other work, of them 1 minute of computing",
            "It takes 61 s of processor time, 4:12 beside other work.",
        ),
        (
            "docs/fits.md",
            "Of digits at CFG 2.5, 5 and 7.5, each predicted from five other scales, the Fréchet "
            "distance (classifier features) of predicted to measured images of generation 6 is "
            "43, 57 and 61, that of real images 116, 220 and 245;",
            "43, 57 and 61 at CFG 2.5, 5 and 7.5, where real images have 116, 220 and 245",
        ),
        (
            "docs/fits.md",
            "from the same scales with two seeds 34, 57 and 65.",
            "**34 at CFG 2.5, 29 % of real images' 116**, and the zeros lie 0.60 away. At 5 and "
            "7.5 it is 57 and 65",
        ),
        (
            "docs/fits.md",
            "Measured, two seeds lie 11, 21 and 85 apart.",
            "Measured, two seeds lie 11, 21 and 85 apart:",
        ),
        (
            SERIES,
            "whose log likelihood in one trial with N = 40 was 0.03 (directional) and 0.2 "
            "(truncation) too high.",
            "compared with 400,000 simulated paths (N = 40, four samples of 30) it is 0.03 too "
            "high for directional selection and 0.2 for truncation.",
        ),
    )
)

DEFINED = tuple(
    Recorded(Claim(place, text), source)
    for place, text, source in (
        ("docs/pages/recipe.py", "A scale of 1 is no guidance; scales below 1, also 0 and negative "
         "ones, are used literally in e_u + w (e_c - e_u).",
         "tests/empirical/test_guidance_rules.py"),
        ("README.md", "an embedded one, of 32 x 32 pixels",
         "empirical/models/emoji/unet/config.json"),
        ("docs/fits.md", "a link from the CFG scale to the strength (w - 1, ln w, saturating).",
         "analysis/models/_base.py"),
        ("docs/selection.md", "two figures with captions", "figures/selection.py"),
        ("docs/fits.md", "0 (the real images) to the last forecast |",
         "tests/analysis/test_scan_forecasts.py"),
        ("docs/fits.md", "written as component 0.", "tests/empirical/test_kept.py"),
        ("docs/fits.md", "or they are more than 32, the theory follows up to 16 groups of prompts",
         "analysis/prompts/groups.py"),
        ("docs/forms.md", "if mutation adds N(0, V_m)", "qtm/mutation/gaussian.py"),
        ("docs/forms.md", "The tests apply every form to populations with means near 0 and "
         "variances near 1. They set each parameter without a default to 0.5.", "qtm/_parts.py"),
        ("docs/install.md", "most of the 3 GB are saved: torch itself has 200 MB |", "Makefile"),
        ("docs/glossary.md", "1 is no guidance |", "tests/empirical/test_guidance_rules.py"),
        (IMAGES, "AVIF (Pillow 11.3 or later)", "empirical/images/opening.py"),
        (IMAGES, "Scans in which 0 is white are inverted.", "empirical/images/opening.py"),
        (IMAGES, "The first of these that exists: 1. **A table**",
         "empirical/data/photos/captions.py"),
        (IMAGES, "2. **A file beside each image:**", "empirical/data/photos/captions.py"),
        (IMAGES, "3. **The name of its folder**", "empirical/data/photos/captions.py"),
        (IMAGES, "Text is UTF-8, or UTF-16 or UTF-32 with a byte order mark.",
         "empirical/files.py"),
        (IMAGES, "(77 in Stable Diffusion,", "tests/helpers/random_pipelines.py"),
        (IMAGES, "V_B the variance of their means less V_W/2.", "empirical/runs/moments.py"),
        (IMAGES, "V_B has no sampling part and may be estimated at 0 or below; fits then take its "
         "standard error, V_W/sqrt(C - 1) for C captions and two images, as an upper limit.",
         "analysis/arms/sampling.py"),
        (SERIES, "Rows without numbers (NA, empty, n = 0) are left out;",
         "tests/analysis/test_series_tables.py"),
        (SERIES, "a sample variance of V chi2/(n - 1) with n - 1 degrees of freedom",
         "analysis/trait_series/cycle_likelihood.py"),
        (SERIES, "(even in `mutation_variance`, 1/`width2` and 1/`population_size`)",
         "analysis/trait_series/cycles.py"),
    )
)  # fmt: skip
