"""Parts of figures: ticks that can be read."""

import pytest
from matplotlib.figure import Figure

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
