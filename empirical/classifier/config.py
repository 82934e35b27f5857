"""The settings of a classifier, which are read without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from empirical import files
from empirical.errors import UserError

FILE = "config.json"


@dataclass(frozen=True)
class Config:
    """The settings of a classifier: the captions of its classes, channels of images, widths of its
    layers; `categories` gives further captions the one of a class."""

    captions: tuple[str, ...]
    channels: int
    widths: tuple[int, ...]
    categories: Mapping[str, str] = field(default_factory=dict)

    @property
    def category_of(self) -> dict[str, str]:
        """The category of every caption that the classifier knows; classes are their own."""
        return {**self.categories, **{caption: caption for caption in self.captions}}


def read(folder: Path) -> Config:
    """Read the settings in a classifier's folder; raises `UserError` where they are damaged."""
    path = folder / FILE
    values = files.read_json(path)
    try:
        config = Config(
            tuple(map(str, values["captions"])),
            int(values["channels"]),
            tuple(map(int, values["widths"])),
            {str(k): str(v) for k, v in values.get("categories", {}).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"'{path}' holds no settings of a classifier: remove '{folder}'") from error
    return config


def write(config: Config, folder: Path) -> None:
    """Write the settings into a classifier's folder."""
    values = asdict(config)
    values["categories"] = {
        caption: category for caption, category in config.categories.items() if caption != category
    }
    files.write_json(folder / FILE, values)
