"""The chain: the same files however it got there, and nothing half-written."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from empirical import files, recipe
from empirical.chain import loop
from empirical.chain.drawing import probe_prompts
from empirical.data.real_images import Population
from empirical.errors import UserError
from empirical.pipeline.adapters import WEIGHTS
from empirical.runs.record import Run, open_run
from empirical.seeds import seed_of
from tests.helpers.tiny_chain import contents, tiny


def test_the_folder_is_as_promised(tiny_run):
    folder = tiny_run.folder
    # The captions are of two images each, so "auto" is no replicates.
    assert recipe.read(folder / "recipe.toml") == tiny(measure={"replicates": 0})
    (session,) = json.loads((folder / "provenance.json").read_text())["sessions"]
    assert session["versions"]["torch"]
    assert session["device"]
    assert session["ended"] >= session["started"]
    for number in range(3):
        generation = tiny_run.generation(number)
        rows = generation.metadata()
        assert [row["file_name"] for row in rows] == [f"{i:05d}.png" for i in range(20)]
        assert [row["text"] for row in rows] == tiny_run.generation(0).captions
        assert generation.images().shape == (20, 32, 32, 1)
        assert generation.probes().shape == (20, 32, 32, 1)
        assert (generation.folder / "lora" / WEIGHTS).is_file() == (number > 0)
        assert (generation.folder / "loss.csv").is_file() == (number > 0)
    assert rows[3]["seed"] == seed_of("image", 0, 2, 3)
    assert tiny_run.generation(0).metadata()[0]["seed"] is None
    metrics = tiny_run.metrics()
    assert metrics["accuracy"][0] > 0.9
    assert metrics[["accuracy", "frechet", "diversity"]].notna().all(axis=None)
    assert not list(folder.rglob("*.part"))


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The tiny chain a second time, and the work that it told, call by call."""
    told = []
    return loop.run(tiny(), tmp_path_factory.mktemp("again") / "run", told.append), told


def test_the_bar_knows_the_whole_job(again):
    run, told = again
    assert sum(told) == loop.work(tiny(), run.folder)
    finished = []
    loop.run(tiny(), run.folder, finished.append)
    assert sum(finished) == loop.work(tiny(), run.folder)


def test_the_same_recipe_gives_the_same_files_and_another_seed_others(tiny_run, again, tmp_path):
    assert contents(again[0].folder) == contents(tiny_run.folder)
    other = loop.run(tiny(seed=1), tmp_path / "other")
    ours, theirs = contents(tiny_run.folder), contents(other.folder)
    for name in ours:
        if name.startswith(("gen_001/images/0", "gen_002/images/0")):
            assert ours[name] != theirs[name]


@pytest.mark.slow
def test_a_run_killed_anywhere_ends_with_the_same_files(tiny_run, again, tmp_path):
    """Killed at one place, gone on with, killed at the next: each leaves its mark on what ends."""
    work, folder = np.cumsum(again[1]), tmp_path / "run"
    stops = sorted({int(work[call - 1]) for call in (1, 2, 4, 6, 8, 9, 11, 15)})
    assert len(stops) >= 7
    for until in stops:
        done = 0

        def kill(count, until=until):
            nonlocal done
            done += count
            if done >= until:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loop.run(tiny(), folder, kill)
        assert not (folder / "moments.csv").exists()
    loop.run(tiny(), folder)
    assert contents(folder) == contents(tiny_run.folder)
    sessions = json.loads((folder / "provenance.json").read_text())["sessions"]
    assert len(sessions) == len(stops) + 1


@pytest.mark.slow
@pytest.mark.parametrize("against", ["base", "previous"])
def test_a_chain_guided_by_a_weaker_model_goes_on_as_it_was(tmp_path, against):
    """After an interruption too, images come from what was learnt, not from the weaker model."""
    guidance = {"rule": "autoguidance", "scale": 2.0, "against": against}
    weak = tiny(generations=1, generate={"guidance": guidance})
    whole = loop.run(weak, tmp_path / "whole")
    shutil.copytree(whole.folder, tmp_path / "run")
    (tmp_path / "run" / "moments.csv").unlink()
    for name in ("images", "probes", "features"):
        shutil.rmtree(tmp_path / "run" / "gen_001" / name)
    for name in ("done.json", "metrics.json"):
        (tmp_path / "run" / "gen_001" / name).unlink()
    loop.run(weak, tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole.folder)


@pytest.mark.parametrize("lost", ["gen_002/done.json", "moments.csv", "gen_001/images/00009.png"])
def test_what_was_not_written_yet_is_made_up_for(tiny_run, tmp_path, lost):
    """As if killed just before: later files are gone, earlier ones are kept."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    (folder / lost).unlink()
    if lost.startswith("gen_001"):
        shutil.rmtree(folder / "gen_002")
        (folder / "gen_001" / "done.json").unlink()
    loop.run(tiny(), folder)
    assert contents(folder) == contents(tiny_run.folder)


@pytest.mark.slow
def test_a_full_disk_leaves_whole_files_and_can_be_resumed(tiny_run, tmp_path, monkeypatch):
    whole, room = Path.write_bytes, [90]

    def write(self, content):
        if room[0] == 0:
            whole(self, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        room[0] -= 1
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match="No space left"):
        loop.run(tiny(), tmp_path / "run")
    monkeypatch.undo()
    left, all_of_it = contents(tmp_path / "run"), contents(tiny_run.folder)
    assert len(left) > 50
    for name, content in left.items():
        if name != "moments.csv":
            assert content == all_of_it[name]
    loop.run(tiny(), tmp_path / "run")
    assert contents(tmp_path / "run") == all_of_it


def test_too_small_a_disk_is_found_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "available", lambda path: 1000)
    with pytest.raises(UserError, match="MB free"):
        loop.run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_going_on_from_the_previous_model_is_another_experiment(tiny_run, tmp_path):
    previous = loop.run(tiny(finetune={"start_from": "previous"}), tmp_path / "run")
    ours, theirs = contents(tiny_run.folder), contents(previous.folder)
    assert ours["gen_001/lora/" + WEIGHTS] == theirs["gen_001/lora/" + WEIGHTS]
    assert ours["gen_002/lora/" + WEIGHTS] != theirs["gen_002/lora/" + WEIGHTS]


def test_a_folder_of_something_else_is_left_alone(tiny_run, tmp_path):
    with pytest.raises(UserError, match="'seed' is 0 there and 1 here"):
        loop.run(tiny(seed=1), tiny_run.folder)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not empty and holds no run"):
        loop.run(tiny(), tmp_path)
    with pytest.raises(UserError, match="is a file"):
        loop.run(tiny(), tmp_path / "mine.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_two_processes_do_not_share_a_run(tmp_path):
    from filelock import FileLock

    def interrupt(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run(tiny(), tmp_path / "run", interrupt)
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(UserError, match="another process"):
        loop.run(tiny(), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"name": "NOT_A_PIPELINE"}}, "not a diffusers pipeline"),
        ({"data": {"name": "NOT_A_PIPELINE"}}, "holds no images"),
        ({"data": {"size": 501}}, "has 500 images"),
        ({"remedy": {"name": "filter", "trait": "charm"}}, "needs the trait 'charm', but measured"),
    ],
)
def test_nothing_is_written_for_a_recipe_that_cannot_run(tmp_path, changes, words):
    (tmp_path / "empty").mkdir()
    for table in changes.values():
        if table.get("name") == "NOT_A_PIPELINE":
            table["name"] = str(tmp_path / "empty")
    with pytest.raises(UserError, match=words):
        loop.run(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run_cannot_be_opened(tmp_path, tiny_run):
    assert open_run(tiny_run.folder) == tiny_run
    with pytest.raises(UserError, match="not the folder of a run"):
        open_run(tmp_path)


class Gaussian:
    """A generator without a network: one grey level an image, refitted by maximum likelihood."""

    classifier = None
    costs = (1, 1)

    def __init__(self):
        self.mean, self.sd = 128.0, 30.0

    def fit(self, population, generation, folder, progress):
        levels = population.images[:, 0, 0, 0].astype(float)
        self.mean, self.sd = levels.mean(), levels.std()
        progress(1)

    def unload(self):
        pass

    def sample(self, captions, seeds, progress):
        eps = [np.random.default_rng(seed).normal() for seed in seeds]
        progress(len(seeds))
        levels = np.clip(np.round(self.mean + self.sd * np.array(eps)), 0, 255).astype(np.uint8)
        return np.broadcast_to(levels[:, None, None, None], (len(seeds), 4, 4, 1))

    def encode(self, images):
        return images[:, 0, 0].astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("size", [8, 25])
def test_the_loop_reproduces_refitting_a_gaussian(tmp_path, monkeypatch, size):
    """Replace and refit by maximum likelihood: each generation E ln V moves by
    psi((N-1)/2) + ln(2/N), the expectation of ln(chi2_{N-1}/N). 60 chains of 4 generations."""
    from scipy.special import digamma, polygamma

    def measure(generator, run, generation, *rest):
        """The grey levels and nothing else: measuring 600 generations in full takes a minute."""
        values = generator.encode(generation.images())
        files.write_array(generation.folder / "features" / "latent.npy", values)

    monkeypatch.setattr(loop, "measure", measure)
    steps = []
    for seed in range(60):
        ours = recipe.parse(
            {
                "generations": 4,
                "seed": seed,
                "data": {"size": size},
                "generate": {"steps": 1},
                "measure": {"unguided": False},
            }
        )
        first = np.random.default_rng(seed).normal(128, 30, size).round().clip(0, 255)
        images = np.broadcast_to(first.astype(np.uint8)[:, None, None, None], (size, 4, 4, 1))
        folder = tmp_path / str(seed)
        loop.loop(Gaussian(), Population(images, ("x",) * size), None, ours, folder)
        levels = [g.trait("latent")[:, 0] for g in Run(folder).generations()]
        variances = np.array([z.var() for z in levels])
        steps.append(np.log(variances[-1] / variances[0]) / 4)
        shutil.rmtree(folder)
    drift = digamma((size - 1) / 2) + np.log(2 / size)
    error = np.sqrt(polygamma(1, (size - 1) / 2) / 4 / len(steps))
    # Grey levels add 1/12 to a variance near 900: less than a tenth of a standard error.
    assert abs(np.mean(steps) - drift) < 4 * error
    assert drift < -4 * error


def test_a_generation_is_an_image_folder(tiny_run, tmp_path):
    """As trainers read it: `datasets` finds images, captions and seeds."""
    import datasets

    folder = tiny_run.generation(1).folder / "images"
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path)
    )
    assert loaded["text"] == tiny_run.generation(1).captions
    assert loaded["seed"] == [row["seed"] for row in tiny_run.generation(1).metadata()]
    images = np.stack([np.asarray(image) for image in loaded["image"]])[..., None]
    assert (images == tiny_run.generation(1).images()).all()


def test_probes_are_of_prompts_in_turn_or_evenly_spaced():
    assert probe_prompts(["b", "a", "b"], 5) == ["b", "a", "b", "a", "b"]
    assert probe_prompts([str(i) for i in range(10)], 4) == ["0", "2", "5", "7"]
