"""Lead a sweep: validate all chains, run the unfinished ones, and record failures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from empirical import files
from empirical.claim import claimed
from empirical.errors import UserError
from empirical.progress import Progress, silent
from empirical.recipe import Recipe, differences
from empirical.runs.record import Run
from empirical.sweeps import grid as grids
from empirical.sweeps import work
from empirical.sweeps.grid import Grid
from empirical.sweeps.work import Failure, Survey, Task

if TYPE_CHECKING:
    from empirical.chain.estimate import Estimate

GRID = "grid.toml"


class Pool(Protocol):
    """Workers of a sweep; `capacity` tasks run at a time as fast as one alone."""

    @property
    def capacity(self) -> int: ...

    def work(self, tasks: Mapping[str, Task], progress: Progress) -> Iterator[tuple[str, Any]]:
        """Run tasks and yield (name, result or `Failure`) as they end."""
        ...


@dataclass(frozen=True)
class Sweep:
    """A validated sweep, ready to run; `surveys` are of its unfinished chains."""

    grid: Grid
    folder: Path
    surveys: Mapping[str, Survey]

    @property
    def work(self) -> int:
        """The work of the unfinished chains, in image passes of the denoiser."""
        return sum(each.work for each in self.surveys.values())

    @property
    def memory(self) -> int:
        """The approximate memory of the largest chain, in bytes."""
        return max((each.memory for each in self.surveys.values()), default=0)

    def estimate(self, pool: Pool) -> "dict[str, Estimate]":
        """Estimate the costs of each unfinished chain, by benchmarks on one worker."""
        missing = {name: self.grid.chains[name] for name in self.surveys}
        return _only(pool, partial(work.estimate, missing, self.folder.absolute()))

    def run(self, pool: Pool, progress: Progress = silent) -> dict[str, Failure]:
        """Run every unfinished chain, and return those that failed.

        A failure stops no other chain; its reason is written to ``NAME.error.txt``. The same sweep
        run again resumes the missing chains.
        """
        failed = {}
        with claimed(self.folder, "sweep"):
            _write_grid(self.folder, self.grid)
            # Long ones first, so that none is left alone at the end.
            names = sorted(self.surveys, key=lambda name: -self.surveys[name].work)
            chains, folder = self.grid.chains, self.folder.absolute()
            tasks = {name: partial(work.run, chains[name], folder / name) for name in names}
            for name, result in pool.work(tasks, progress):
                path = error_file(self.folder / name)
                if isinstance(result, Failure):
                    failed[name] = result
                    files.write_text(path, f"{result.sentence}\n\n{result.details}".strip() + "\n")
                else:
                    path.unlink(missing_ok=True)
        return failed


def prepare(grid: Grid, folder: Path, pool: Pool) -> Sweep:
    """Validate a sweep and every chain of it before anything is written or run.

    Raises `UserError` where the folder is taken, a chain cannot run, or the disk is too small.
    """
    _require_unclaimed(folder, grid)
    missing = {
        name: recipe
        for name, recipe in grid.chains.items()
        if not _is_complete(folder / name, recipe)
    }
    if not missing:
        return Sweep(grid, folder, {})
    return Sweep(grid, folder, _only(pool, partial(work.survey, missing, folder.absolute())))


def duration(estimates: "Mapping[str, Estimate]", capacity: int) -> float:
    """Return the seconds until the last chain ends, `capacity` at a time, longest first."""
    busy = [0.0] * capacity
    for seconds in sorted((each.seconds for each in estimates.values()), reverse=True):
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def _only(pool: Pool, task: Task) -> Any:
    """Return the result of a single task; raise `UserError` if it fails."""
    ((_, result),) = pool.work({"": task}, silent)
    if isinstance(result, Failure):
        raise UserError(result.sentence)
    return result


def is_finished(folder: Path, recipe: Recipe) -> bool:
    """Return whether a folder holds a finished run of a recipe, wherever its data are now."""
    if not (folder / "recipe.toml").is_file() or not (folder / "moments.csv").is_file():
        return False
    run = Run(folder)
    try:
        theirs = run.recipe
    except UserError:
        # Damaged: running the chain reports it.
        return False
    if differences(theirs, recipe) or theirs.generations != recipe.generations:
        return False
    return len(run.generations()) == recipe.generations + 1


def _is_complete(folder: Path, recipe: Recipe) -> bool:
    """Return whether a chain is finished and its data have not moved."""
    return is_finished(folder, recipe) and Run(folder).recipe.data == recipe.data


def error_file(chain: Path) -> Path:
    """Return the file of a chain's error, beside its folder."""
    return chain.with_name(f"{chain.name}.error.txt")


def open_grid(folder: Path) -> Grid:
    """Open the folder of a sweep; raise `UserError` where there is none."""
    if not (folder / GRID).is_file():
        raise UserError(f"'{folder}' is not the folder of a sweep: it has no {GRID}")
    return grids.read(folder / GRID)


def _require_unclaimed(folder: Path, grid: Grid) -> None:
    """Raise `UserError` where the folder holds anything but this sweep."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file, the sweep needs a folder")
    if not folder.exists() or not files.visible(folder, "*"):
        return
    if not (folder / GRID).is_file():
        raise UserError(f"the folder '{folder}' is not empty and holds no sweep; name another")
    theirs, ours = open_grid(folder).chains, grid.chains
    for name in [*theirs, *ours]:
        where = "there" if name not in ours else "here" if name not in theirs else None
        if where is not None:
            how = f"is {where} alone"
        elif differences(theirs[name], ours[name]):
            how = "has another recipe there"
        elif theirs[name].generations > ours[name].generations:
            how = (
                f"has {theirs[name].generations} generations there and {ours[name].generations} "
                f"here, and can be lengthened, not shortened"
            )
        else:
            continue
        raise UserError(
            f"the folder '{folder}' holds the sweep of another grid: the chain '{name}' {how}"
        )


def _write_grid(folder: Path, grid: Grid) -> None:
    """Write the grid, unless the folder has an equal one; longer chains replace shorter ones."""
    if not (folder / GRID).is_file() or open_grid(folder).chains != grid.chains:
        files.write_text(folder / GRID, grid.text)
