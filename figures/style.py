"""The style of all figures: sizes, one ramp for the CFG scale, one colour for each remedy.

The ramp darkens with the scale, so that its order survives in grey and for every kind of colour
vision; remedies differ in colour, marker and line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, ListedColormap, to_hex

FILE = Path(__file__).parent / "diffusion_qtm.mplstyle"

# Widths of print, in inches.
COLUMN = 3.3
PAGE = 7.0

_LOWEST, _HIGHEST = 1.0, 15.0
_MARKERS = {1.0: "o", 1.25: "v", 1.5: "s", 2.5: "D", 5.0: "^", 7.5: "P", 15.0: "X"}


@dataclass(frozen=True)
class Look:
    """The look of a run or remedy in every figure: label, colour, marker and line."""

    label: str
    colour: str
    marker: str
    line: str | tuple

    def settings(self) -> dict:
        """Return the keywords of `plot`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "label": self.label,
        }


# Colours of Okabe & Ito (2008) and Tol (2021).
REMEDIES: Mapping[str, Look] = {
    "baseline": Look("baseline", "#000000", "P", "-"),
    "condition_drop": Look("condition drop", "#E69F00", "v", (0, (4, 1.5))),
    "decay": Look("decay, rate 15", "#56B4E9", "s", (0, (1, 1))),
    "redifine": Look("ReDiFine, rate 15", "#D55E00", "o", "-"),
    "redifine_slow": Look("ReDiFine, rate 2", "#D55E00", "", (0, (2, 1))),
    "real_data": Look("half real data", "#009E73", "D", (0, (5, 1, 1, 1))),
    "interval": Look("guidance interval", "#0072B2", "^", "-"),
    "generation_decay": Look("decay over generations", "#882255", "X", "-"),
    "cads": Look("CADS", "#44AA99", "<", (0, (1, 1))),
    "apg": Look("APG", "#AA4499", ">", (0, (4, 1.5))),
    "latent_noise": Look("latent noise", "#999933", "h", (0, (5, 1, 1, 1))),
    "filter": Look("filter by sharpness", "#888888", "d", (0, (2, 1))),
}


def ramp() -> Colormap:
    """Return the colours of CFG scales, from light for low to dark for high scales."""
    table = matplotlib.colormaps["viridis"](np.linspace(0.86, 0.0, 256))
    return ListedColormap(table, "cfg")


def scale_colour(scale: float) -> str:
    """Return the colour of a CFG scale; the ramp is logarithmic from 1 to 15."""
    position = np.log(max(scale, 1e-9) / _LOWEST) / np.log(_HIGHEST / _LOWEST)
    return to_hex(ramp()(float(np.clip(position, 0, 1))))


def scale_look(scale: float) -> Look:
    """Return the look of a CFG scale."""
    return Look(f"CFG {scale:g}", scale_colour(scale), _MARKERS.get(scale, "o"), "-")
