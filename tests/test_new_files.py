"""A remedy, guidance rule, trait, measure, model of collapse or figure is one file with one class
or function, and a life cycle of a trait series one class: `import`, the command line and the tests
find it."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.helpers.package_copies import call, copy_of

FILES = {
    "empirical/remedies/short_training.py": '''
from typing import Literal

from empirical.remedies._base import Remedy


class ShortTraining(Remedy):
    """Finetune in half of the steps."""

    reads = ("finetune.steps",)
    name: Literal["short_training"]

    def settings(self, given):
        return {"finetune.steps": given["finetune.steps"] // 2}
''',
    "empirical/guidance/warm_up.py": '''
from typing import Literal

import numpy as np

from empirical.guidance._base import Fraction, GuidanceRule, Scale


class WarmUp(GuidanceRule):
    """No guidance in the first `fraction` of sampling, then a constant scale. Introduced here."""

    examples = ({"scale": 3.0, "fraction": 0.25},)
    neutral = {"scale": 1.0}

    rule: Literal["warm_up"]
    scale: Scale
    fraction: Fraction = 0.5

    def scales(self, levels, generation=0, seeds=()):
        return np.where(levels.progress < self.fraction, 1.0, self.scale)
''',
    "empirical/measuring/traits/brightest.py": '''
def measure(view):
    """Return the greatest luminance of each image [n, 1]."""
    return view.grey.max(axis=(1, 2))[:, None]
''',
    "empirical/measuring/metrics/measures/spread.py": '''
def alone(sample):
    """Return the total variance of a set, nan of none."""
    return float(sample.features.var(axis=0).sum()) if len(sample.features) else float("nan")
''',
    "analysis/models/shrinking.py": '''
from dataclasses import dataclass
from typing import ClassVar

from analysis.models._base import Model, Parameter
from qtm import Families


@dataclass(frozen=True)
class Shrinking(Model):
    """V_W shrinks by a constant factor."""

    theory: ClassVar = "shrinking"
    links: ClassVar = ()
    theory_parameters: ClassVar = (
        Parameter("remaining", "fraction of V_W that remains", "fraction", 0.01, 0.99, 0.9, 1.0),
    )

    def step(self, values, state, setting):
        return Families(state.mean, state.within * values["remaining"], state.between)
''',
    "figures/gallery/number_of_runs.py": '''"""The number of runs."""

from matplotlib.figure import Figure

from figures.style import COLUMN

NUMBER, MADE_BY = 12, "any recipes"
CAPTION = "The height of the bar is the number of runs. " * 5


def draw(study):
    """Draw one bar."""
    figure = Figure(figsize=(COLUMN, 2))
    figure.subplots().bar([0], [len(study.runs)])
    figure.axes[0].set(ylabel="runs")
    return figure
''',
}
# Appended to the file of all life cycles.
LIFE_CYCLE = '''

class EveryOther(CycleModel):
    """The upper half survives: no parameter."""

    theory = "every other"
    contains = ()

    def selection_parameters(self, scale):
        return ()

    def selection(self, values):
        return qtm.Truncation(0.5)
'''
RECIPE = """
generations = 1
finetune.steps = 40
generate.guidance = { rule = "warm_up", scale = 3.0 }
remedy.name = "short_training"
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the packages that read new files, with one for each kind."""
    root = copy_of(tmp_path_factory.mktemp("copy"), ("empirical", "analysis", "figures", "tests"))
    for path, content in FILES.items():
        (root / path).write_text(content)
    with (root / "analysis" / "trait_series" / "cycles.py").open("a") as file:
        file.write(LIFE_CYCLE)
    (root / "recipe.toml").write_text(RECIPE)
    return root


def output(result):
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_recipe_takes_new_remedies_and_guidance_rules(copy):
    code = """
import numpy as np
from pathlib import Path
from empirical import guidance, recipe

settings = recipe.read(Path("recipe.toml")).settings
assert settings.finetune.steps == 20, settings
rule = settings.generate.guidance
assert type(rule) is guidance.every_rule()["warm_up"]
abar = np.linspace(0.1, 0.9, 5)
print(*rule.scales(guidance.Levels(abar[:-1], abar[1:])))
"""
    assert output(call(copy, "-c", code)).split() == ["1.0", "1.0", "3.0", "3.0"]
    (copy / "wrong.toml").write_text(RECIPE + "remedy.stps = 1\n")
    result = call(copy, "-m", "qtm", "chain", "run", "wrong.toml", "--out", "run")
    assert result.returncode == 2
    assert "'remedy.stps'" in result.stderr


def test_the_command_line_measures_new_traits_and_measures(copy):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8)).astype(np.uint8)
    (copy / "photos").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(copy / "photos" / f"{number}.png")
    for name, column, expected in (
        ("brightest", "mean", (pixels.max(axis=(1, 2)) / 255).mean()),
        ("spread", "value", (pixels / 255).var(axis=0).sum()),
    ):
        words = ["measure", "--images", "photos", name, "--csv", f"{name}.csv"]
        output(call(copy, "-m", "qtm", *words))
        assert pd.read_csv(copy / f"{name}.csv")[column].item() == pytest.approx(expected)


def test_fits_find_new_models_and_life_cycles(copy):
    code = """
import json, sys
import jax.numpy as jnp
from analysis.models import every_model
from analysis.trait_series.cycles import cycle_models
from qtm import Families

model = every_model()["shrinking"]
after = model.step({"remaining": 0.5}, Families(0.0, 4.0, 1.0), None)
series = cycle_models()["every other"]().cycle({"mutation_variance": jnp.array(0.0)})
print(json.dumps([float(after.within), series.selection.fraction.item()]))
"""
    assert json.loads(output(call(copy, "-c", code))) == [2.0, 0.5]


def test_the_command_line_finds_new_figures(copy):
    code = """
from pathlib import Path
from figures import write
from figures.commands.gallery import figures
from figures.gallery import every_figure
from figures.study import Study

figures(table=True)
write.write(every_figure()["number_of_runs"], Study(()), Path("drawn"), ["png"])
"""
    listed = output(call(copy, "-c", code)).splitlines()
    assert listed[-1].split() == ["12", "number_of_runs", "The", "number", "of", "runs"]
    assert (copy / "drawn" / "number_of_runs.png").is_file()
    assert "The height of" in (copy / "drawn" / "number_of_runs.txt").read_text()


@pytest.mark.slow
def test_the_tests_find_new_files(copy):
    places = {
        "empirical": ("remedies", "guidance_rules", "guidance_steps", "traits", "metrics_of_sets"),
        "analysis": ("models", "series_cycles"),
        "figures": ("gallery",),
    }
    files = [f"tests/{folder}/test_{name}.py" for folder in places for name in places[folder]]
    names = {"short_training", "warm_up", "brightest", "spread", "shrinking", "number_of_runs"}
    chosen = f"{' or '.join(sorted(names))} or (every and other)"
    words = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
    lines = output(call(copy, *words, "-k", chosen, *files)).splitlines()
    passed = "\n".join(line for line in lines if " PASSED " in line)
    assert [name for name in (*names, "every other") if name not in passed] == []
