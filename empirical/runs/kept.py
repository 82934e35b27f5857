"""Kept runs: the part of a chain that figures and fits need, small enough for a repository.

A kept run is a run folder in a ``tar.xz`` file, thinned: it omits images (all, or all but a
few), the held-out ones and the list of the real ones, and the features of single images except the
leading principal scores of the latents and, where selection was measured or every image has its own
caption, traits of few components. The moments of prompts (`empirical.runs.prompts`) replace the
others; moments of many components are averaged. It opens as a `Run`, so code that reads runs reads
kept ones.

Where every image has its own caption, prompt means are traits of single images, of the latents
along few axes; those of all latents are kept with draws only.
"""

import io
import json
import lzma
import tarfile
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from empirical import files
from empirical.errors import UserError
from empirical.runs import prompts
from empirical.runs.draws import Measured
from empirical.runs.record import Run
from empirical.runs.spacing import spaced

FOLDER = Path(__file__).parents[1] / "results"
# Moments of these are averaged over their components, as component 0.
_AVERAGED = ("latent", "classifier")
_SCORES = "latent_pc"
_FEW = 2
_PROBES = 10
# One archive, because captions repeat themselves and many files are small.
_SUFFIX = ".tar.xz"


def names() -> list[str]:
    """Return the names of the experiments in this package."""
    return [path.name for path in files.visible(FOLDER, "*") if path.is_dir()]


@cache
def _unpacked(folder: Path) -> tuple[Path, tempfile.TemporaryDirectory]:
    """Unpack every kept run of a folder, until this process ends."""
    scratch = tempfile.TemporaryDirectory(prefix="qtm-kept-")
    for path in _files(folder):
        with tarfile.open(path) as content:
            content.extractall(Path(scratch.name) / _name(path), filter="data")
    return Path(scratch.name), scratch


def runs(experiment: str = "embedded") -> list[Run]:
    """Return the kept runs of an experiment, by the name of their arms and settings.

    Raises `UserError` where there is no such experiment.
    """
    folder = FOLDER / experiment
    if not folder.is_dir():
        raise UserError(
            f"there are no kept runs '{experiment}', there are {', '.join(names()) or 'none'}"
        )
    unpacked, _ = _unpacked(folder)
    return [Run(unpacked / _name(path)) for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return files.visible(folder, f"*{_SUFFIX}")


def _name(path: Path) -> str:
    return path.name.removesuffix(_SUFFIX)


def keep(run: Run, out: Path, images: int = 0, draws: bool = True, probes: int = _PROBES) -> Path:
    """Write a finished run as ``out/NAME.tar.xz``, with a few `images` of each generation.

    They are the first ones, or where every image has its own caption, evenly spaced ones.

    Without `draws` it omits what selection and transmission are measured on, the images that were
    drawn only to be measured; their variances, which fits need, are among the moments. `probes` is
    the most of the images with the same seeds in every generation that are kept.

    Raises `UserError` where the run is not finished.
    """
    generations = run.generations()
    if len(generations) <= run.recipe.generations:
        raise UserError(
            f"the run '{run.folder}' has {len(generations) - 1} of {run.recipe.generations} "
            f"generations: only finished runs can be kept"
        )
    content: dict[str, bytes] = {}
    for name in ("recipe.toml", "provenance.json"):
        content[name] = (run.folder / name).read_bytes()
    content["moments.csv"] = _moments(run).encode()
    for generation in generations:
        prefix, source = generation.folder.name, generation.folder
        content[f"{prefix}/metrics.json"] = _compact(generation.metrics())
        rows = ({"file_name": r["file_name"], "text": r["text"]} for r in generation.metadata())
        captions = "".join(json.dumps(row) + "\n" for row in rows)
        content[f"{prefix}/images/metadata.jsonl"] = captions.encode()
        distinct = len(set(generation.captions)) == len(generation.captions)
        metadata = generation.metadata()
        few = min(images, len(metadata))
        for place in spaced(len(metadata) if distinct else few, few):
            image = source / "images" / metadata[place]["file_name"]
            content[f"{prefix}/images/{image.name}"] = image.read_bytes()
        names = generation.draws() if draws else ()
        content |= _measured(generation, prefix, every=bool(names) or distinct)
        if names or not distinct:
            moments = prompts.prompts_of_draw(generation)
            content[f"{prefix}/{prompts.FILE}"] = _moments_of_prompts(moments, distinct)
        for name in names:
            draw, place = generation.draw(name), f"{prefix}/draws/{name}"
            content |= _measured(draw, place, every=True)
            moments = prompts.prompts_of_draw(generation, name)
            content[f"{place}/{prompts.FILE}"] = _moments_of_prompts(moments, distinct)
            seeds = ({"text": row["text"], "seed": row["seed"]} for row in draw.metadata())
            lines = "".join(json.dumps(row) + "\n" for row in seeds)
            content[f"{prefix}/draws/{name}/metadata.jsonl"] = lines.encode()
        if names and generation.number:
            content[f"{prefix}/training.jsonl"] = (source / "training.jsonl").read_bytes()
        for probe in files.visible(source / "probes", "*.png")[:probes]:
            content[f"{prefix}/probes/{probe.name}"] = probe.read_bytes()
        if (source / "loss.csv").is_file():
            content[f"{prefix}/loss.csv"] = _thinned_loss(generation.loss())
        content[f"{prefix}/done.json"] = _compact({"generation": generation.number, "kept": True})
    path = out / f"{run.name}{_SUFFIX}"
    files.write_bytes(path, _packed(content))
    return path


def _measured(images: Measured, place: str, every: bool) -> dict[str, bytes]:
    """Return the traits of single images that are kept.

    `every` trait of few components where a generation was drawn without guidance too, so that
    selection is measured on it, and where a prompt has one image, which is its mean; else only the
    principal scores are of use.
    """
    content = {}
    for name in images.traits():
        values = images.trait(name)
        if name == _SCORES or (every and values.shape[1] <= _FEW):
            content[f"{place}/features/{name}.npy"] = _half(values)
    return content


def _moments_of_prompts(moments: prompts.Prompts, distinct: bool) -> bytes:
    if distinct:
        means = {
            name: values
            for name, values in moments.means.items()
            if name in (prompts.LATENT, _SCORES) or values.shape[1] <= _FEW
        }
        moments = replace(moments, means=means)
    return moments.packed()


def _packed(content: dict[str, bytes]) -> bytes:
    """Return files as an archive whose bytes depend on them alone."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w:xz", format=tarfile.USTAR_FORMAT, preset=9 | lzma.PRESET_EXTREME
    ) as archive:
        for name, data in sorted(content.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _moments(run: Run) -> str:
    table = run.moments()
    averaged = table["feature"].isin(_AVERAGED)
    by = ["generation", "feature", *(["how"] if "how" in table else [])]
    mean = table[averaged].groupby(by, as_index=False).mean()
    mean["component"] = 0
    mean["n"] = mean["n"].astype(int)
    reduced = pd.concat([table[~averaged], mean], ignore_index=True)[table.columns]
    return reduced.sort_values(["generation", "feature", "component"]).to_csv(
        index=False, float_format="%.6g"
    )


def _thinned_loss(loss: pd.DataFrame) -> bytes:
    """Return the loss, averaged over ten steps."""
    tens = loss.groupby(loss["step"] // 10).mean()
    return tens.to_csv(index=False, float_format="%.5g").encode()


def _half(values: Float[np.ndarray, "n d"]) -> bytes:
    buffer = io.BytesIO()
    # Half precision ends at 65504; sizes in bytes do not.
    fits = np.abs(values).max(initial=0) < 6e4
    np.save(buffer, values.astype(np.float16 if fits else np.float32))
    return buffer.getvalue()


def _compact(content: object) -> bytes:
    def shorter(value: object) -> object:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {key: shorter(item) for key, item in value.items()}
        return [shorter(item) for item in value] if isinstance(value, list) else value

    return json.dumps(shorter(content), separators=(",", ":")).encode()
