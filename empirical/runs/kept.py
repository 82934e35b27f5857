"""Kept runs: what figures and fits need of a chain, small enough for a repository.

A kept run is a run folder in a ``tar.xz`` file, thinned: images, or all but the first few, are
left out, held-out ones and the list of the real ones too, as are the features of single images but
for the leading principal scores of the latents, and moments of many components are averaged. It
opens as a `Run`, so that whatever reads a run reads a kept one.
"""

import io
import json
import lzma
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from empirical import files
from empirical.errors import UserError
from empirical.runs.record import Run

FOLDER = Path(__file__).parents[1] / "results"
# Moments of these are averaged over their components, as component 0.
_AVERAGED = ("latent", "classifier")
_SCORES = "latent_pc"
_PROBES = 10
# All in one piece, because captions repeat themselves and many files are small.
_SUFFIX = ".tar.xz"


def names() -> list[str]:
    """Return the names of the experiments that come with this package."""
    return [path.name for path in files.visible(FOLDER, "*") if path.is_dir()]


@cache
def _unpacked(folder: Path) -> tuple[Path, tempfile.TemporaryDirectory]:
    """Unpack every kept run of a folder, for as long as this process lives."""
    place = tempfile.TemporaryDirectory(prefix="qtm-kept-")
    for path in _files(folder):
        with tarfile.open(path) as content:
            content.extractall(Path(place.name) / _name(path), filter="data")
    return Path(place.name), place


def runs(experiment: str = "embedded") -> list[Run]:
    """Return the kept runs of an experiment, by the name of their arms and settings.

    Raises `UserError` where there is no such experiment.
    """
    folder = FOLDER / experiment
    if not folder.is_dir():
        raise UserError(
            f"there are no kept runs '{experiment}', there are {', '.join(names()) or 'none'}"
        )
    place, _ = _unpacked(folder)
    return [Run(place / _name(path)) for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return files.visible(folder, f"*{_SUFFIX}")


def _name(path: Path) -> str:
    return path.name.removesuffix(_SUFFIX)


def keep(run: Run, out: Path, images: int = 0) -> Path:
    """Write a finished run as ``out/NAME.tar.xz``, with the first `images` of each generation.

    Raises `UserError` where the run is not finished.
    """
    generations = run.generations()
    if len(generations) <= run.recipe.generations:
        raise UserError(
            f"the run '{run.folder}' has {len(generations) - 1} of {run.recipe.generations} "
            f"generations: only a finished run is kept"
        )
    content: dict[str, bytes] = {}
    for name in ("recipe.toml", "provenance.json"):
        content[name] = (run.folder / name).read_bytes()
    content["moments.csv"] = _moments(run).encode()
    for generation in generations:
        place, there = generation.folder.name, generation.folder
        content[f"{place}/metrics.json"] = _compact(generation.metrics())
        rows = ({"file_name": r["file_name"], "text": r["text"]} for r in generation.metadata())
        captions = "".join(json.dumps(row) + "\n" for row in rows)
        content[f"{place}/images/metadata.jsonl"] = captions.encode()
        for row in generation.metadata()[:images]:
            image = there / "images" / row["file_name"]
            content[f"{place}/images/{image.name}"] = image.read_bytes()
        if _SCORES in generation.traits():
            content[f"{place}/features/{_SCORES}.npy"] = _half(generation.trait(_SCORES))
        for probe in files.visible(there / "probes", "*.png")[:_PROBES]:
            content[f"{place}/probes/{probe.name}"] = probe.read_bytes()
        if (there / "loss.csv").is_file():
            content[f"{place}/loss.csv"] = _thinned_loss(generation.loss())
        content[f"{place}/done.json"] = _compact({"generation": generation.number, "kept": True})
    path = out / f"{run.name}{_SUFFIX}"
    files.write_bytes(path, _packed(content))
    return path


def _packed(content: dict[str, bytes]) -> bytes:
    """Return files as an archive that depends on nothing but them."""
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
    mean = table[averaged].groupby(["generation", "feature"], as_index=False).mean()
    mean["component"] = 0
    mean["n"] = mean["n"].astype(int)
    whole = pd.concat([table[~averaged], mean], ignore_index=True)[table.columns]
    return whole.sort_values(["generation", "feature", "component"]).to_csv(
        index=False, float_format="%.6g"
    )


def _thinned_loss(loss: pd.DataFrame) -> bytes:
    """Return the loss, averaged over ten steps."""
    tens = loss.groupby(loss["step"] // 10).mean()
    return tens.to_csv(index=False, float_format="%.5g").encode()


def _half(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float16))
    return buffer.getvalue()


def _compact(content: object) -> bytes:
    def shorter(value: object) -> object:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, dict):
            return {key: shorter(item) for key, item in value.items()}
        return [shorter(item) for item in value] if isinstance(value, list) else value

    return json.dumps(shorter(content), separators=(",", ":")).encode()
