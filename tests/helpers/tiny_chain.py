"""The tiny recipe of the tests, and the files of a run to compare."""

from pathlib import Path

from empirical import recipe

TINY = {
    "generations": 2,
    "data": {"size": 20},
    "finetune": {"rank": 2, "steps": 3, "batch_size": 8},
    "generate": {"guidance": {"rule": "constant", "scale": 2.0}, "steps": 2, "batch_size": 8},
}


def tiny(**changes) -> recipe.Recipe:
    """Return the tiny recipe with tables updated."""
    tables = {key: dict(value) if isinstance(value, dict) else value for key, value in TINY.items()}
    for key, value in changes.items():
        if isinstance(value, dict):
            tables[key] = {**tables.get(key, {}), **value}
        else:
            tables[key] = value
    return recipe.parse(tables)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run by name, apart from those that tell the time."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "provenance.json")
    }
