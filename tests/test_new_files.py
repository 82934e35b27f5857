"""A remedy, guidance rule, trait, measure, data set, model of collapse or figure is one file with
one class or function, and a life cycle of a trait series one class: `import`, the command line and
the tests find it. The files are those of `docs/extending.md`."""

import configparser
import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from empirical.runs import kept
from tests.helpers import documented
from tests.helpers.package_copies import call, copy_of

# The examples of the documentation. Forms have their own tests.
SHOWN = documented.files("extending.md")
CYCLES, PROJECT = "analysis/trait_series/cycles.py", "pyproject.toml"
FILES = {
    path: content
    for path, content in SHOWN.items()
    if not path.startswith("qtm/") and path not in (CYCLES, PROJECT)
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the packages that read new files, with one for each kind."""
    root = copy_of(tmp_path_factory.mktemp("copy"), ("empirical", "analysis", "figures", "tests"))
    for path, content in FILES.items():
        (root / path).write_text(content)
    with (root / CYCLES).open("a") as file:
        file.write("\n\n" + SHOWN[CYCLES])
    install(tomllib.loads(SHOWN[PROJECT])["project"], root)
    return root


def install(project, folder):
    """Write the metadata from which Python reads the entry points of an installed package."""
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    entry_points = configparser.ConfigParser()
    entry_points.read_dict(project["entry-points"])
    with (metadata / "entry_points.txt").open("w") as file:
        entry_points.write(file)


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
    (copy / "wrong.toml").write_text(FILES["recipe.toml"] + "remedy.stps = 1\n")
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


def test_recipes_name_new_data_sets(copy):
    code = """
from empirical import recipe
from empirical.data.real_images import real, reference

data = recipe.parse({"data": {"name": "stripes", "size": 200}}).data
images = real(data, side=32, mode="L", seed=0)
print(images.images.shape, *images.captions[:2])
print(reference(data, side=32, mode="L", seed=0).shape)
lying, standing = images.images[0, ..., 0], images.images[1, ..., 0]
assert (lying == lying[:, :1]).all() and (standing == standing[:1]).all()
"""
    output(call(copy, "-c", code))


def test_the_command_line_has_the_commands_of_other_packages(copy):
    run = kept.runs("embedded")[0]
    assert int(output(call(copy, "-m", "qtm", "count", run.folder))) == len(run.generations())
    assert "Count the generations of runs." in output(call(copy, "-m", "qtm", "--help"))


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
    assert listed[-1].split() == ["99", "number_of_runs", "The", "number", "of", "runs"]
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
