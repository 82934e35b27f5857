"""Parts of figures: ticks that can be read, and panels of what was measured."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from figures import scan
from figures.pieces import plain_logarithm


@pytest.mark.parametrize(
    ("ticks", "shown"),
    [
        ([1, 1.05, 1.1, 1.25, 1.5, 2.5, 5, 7.5], ["1", "1.25", "1.5", "2.5", "5", "7.5"]),
        ([1, 1.5, 2.5, 5, 7.5], ["1", "1.5", "2.5", "5", "7.5"]),
        ([1, 7, 7.5], ["1", "7.5"]),
        ([2], ["2"]),
    ],
)
def test_numbers_of_a_logarithmic_axis_do_not_overlap(ticks, shown):
    axis = Figure().subplots()
    axis.set(xscale="log", xlim=(0.9, 8))
    plain_logarithm(axis.xaxis, ticks)
    written = axis.xaxis.get_major_formatter().format_ticks(axis.xaxis.get_major_locator()())
    assert [text for text in written if text] == shown


@pytest.mark.parametrize(
    ("measured", "title"),
    [
        (["accuracy", "frechet"], "recognised (left), Fréchet (right)"),
        (["frechet"], "Fréchet"),
        ([], "quality"),
    ],
)
def test_the_quality_of_a_scan_is_of_what_was_measured(measured, title):
    rows = [
        {"feature": "images", "quantity": name, "component": 0, "scale": w,
         "value": 0.5, "low": 0.4, "high": 0.6}
        for name in measured for w in (1.0, 2.0)
    ]  # fmt: skip
    columns = ["feature", "quantity", "component", "scale", "value", "low", "high"]
    figure = Figure()
    axis = figure.subplots()
    scan._quality(axis, pd.DataFrame(rows, columns=columns))
    assert axis.get_title() == title
    assert len(figure.axes) == max(1, len(measured))
    assert all(len(each.lines) == 1 for each in figure.axes[: len(measured)])
