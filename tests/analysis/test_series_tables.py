"""Tables of trait series from spreadsheets, R and people: one series in every format."""

import warnings

import numpy as np
import pytest

from analysis.trait_series import read_csv, read_paleots
from analysis.trait_series.text import Notation, notation
from empirical.errors import UserError

# Generation, mean, variance, n.
ROWS = [
    ("0", "3.25", "0.5", "12"),
    ("1", "3.5", "0.625", "9"),
    ("2.5", "2.125", "0.75", "30"),
    ("4", "2.0", "0.5", "11"),
]
NUMBERS = np.array(ROWS, float)
HEAD = ("generation", "mean", "variance", "n")


def table(rows=ROWS, head=HEAD, mark=",", decimal=".", end="\n", tail=""):
    lines = ([head] if head else []) + [[v.replace(".", decimal) for v in row] for row in rows]
    return "".join(mark.join(line) + tail + end for line in lines)


def paleots(**form):
    """Rows in the order n, mean, variance, time, without a header."""
    return table(**{"rows": [(n, m, v, t) for t, m, v, n in ROWS], "head": None, **form})


def as_ages(rows):
    return [(str(10 - float(t)), m, v, n) for t, m, v, n in rows]


def write(folder, content, name="series.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbers(s):
    return np.stack([s.time, s.mean, s.variance, s.n], axis=1)


FORMS = {
    "commas": table(),
    "semicolons": table(mark=";"),
    "semicolons, decimal commas": table(mark=";", decimal=","),
    "tabs, decimal commas": table(mark="\t", decimal=","),
    "blanks": table(mark="  "),
    "blanks, decimal commas": table(mark=" ", decimal=","),
    "bars": table(mark="|"),
    "Windows": table(end="\r\n"),
    "old Mac": table(end="\r"),
    "upper case": table(head=[name.upper() for name in HEAD]),
    "blanks about": table(head=(" Generation ", " Mean", "Variance ", " N")),
    "names of paleoTS": table(head=("tt", "mm", "vv", "nn")),
    "units": table(head=("Time [kyr]", "mean (mm)", "Var", "Count")),
    "quotes": table([tuple(f'"{v}"' for v in row) for row in ROWS]),
    "quoted decimal commas": table([tuple(f'"{v}"' for v in row) for row in ROWS], decimal=","),
    "empty columns and lines": table(tail=",,") + ",,,,,\n\n",
    "Excel's word": "sep=;\n" + table(mark=";", decimal=","),
    "comments": "# drawn by hand\n" + table(tail="  # certain") + "#end\n",
    "a title": "Shells of the north shore\n\n" + table(),
    "numpy's header": "# " + table(mark=" "),
    "R's row names": table([(f'"{i}"', *row) for i, row in enumerate(ROWS, 1)], mark=" "),
    "R's unnamed column": table([("a", *row) for row in ROWS], head=('""', *HEAD)),
    "other columns": table([(*row, '"a, b"') for row in ROWS], head=(*HEAD, "note")),
    "a minus sign": table([("\u22120", *ROWS[0][1:]), *ROWS[1:]]),
    "sd": table(
        [(t, m, repr(float(v) ** 0.5), n) for t, m, v, n in ROWS], ("t", "mean", "SD", "n")
    ),
    "se": table(
        [(t, m, repr((float(v) / int(n)) ** 0.5), n) for t, m, v, n in ROWS],
        ("t", "mean", "se", "n"),
    ),
    "variance before sd": table([(*row, "7") for row in ROWS], (*HEAD, "sd")),
    "paleoTS": paleots(mark=" "),
    "paleoTS, commas": paleots(mark=", "),
    "paleoTS, decimal commas": paleots(mark=" ", decimal=","),
    "paleoTS, tabs": paleots(mark="\t", decimal=","),
    "paleoTS, header": paleots(mark=" ", head=("n", "mean", "variance", "time")),
    "ages": table(as_ages(ROWS), ("age", *HEAD[1:])),
    "paleoTS, ages": paleots(mark=" ", rows=[(n, m, v, t) for t, m, v, n in as_ages(ROWS)]),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + table().encode(),
    "UTF-16 with a mark": table().encode("utf-16"),
    "UTF-16 without": table(mark="\t", decimal=",").encode("utf-16-le"),
    "ANSI": ("# Gr\u00f6\u00dfe\n" + table(mark=";", decimal=",")).encode("cp1252"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["s.csv", "S.TXT"])
def test_a_series_is_the_same_in_every_form(tmp_path, form, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = read_csv(write(tmp_path, FORMS[form], name))
    np.testing.assert_allclose(numbers(s), NUMBERS, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(numbers(read_paleots(tmp_path / name)), numbers(s))


@pytest.mark.parametrize(
    ("tokens", "delimiter", "values"),
    [
        (["1,234.5", "2,000"], ",", [1234.5, 2000]),
        (["1.234,5", "2.000"], ";", [1234.5, 2000]),
        (["1'234.5", "12"], ";", [1234.5, 12]),
        (["1\u202f234,5", "0,125"], ";", [1234.5, 0.125]),
        (["1,234", "2,345"], ";", [1.234, 2.345]),
        (["1,234", "0,345"], "\t", [1.234, 0.345]),
        (["1,234,567", "2,345"], "\t", [1234567, 2345]),
        (["1,234", "2.5"], "\t", [1234, 2.5]),
        (["1e-3", "+2.5E2", ".5", "5."], ",", [0.001, 250, 0.5, 5]),
        (["1.2.3", "12,34", "one"], "\t", [None, 12.34, None]),
    ],
)
def test_commas_and_points(tokens, delimiter, values):
    style = notation(tokens, delimiter, "given")
    assert [style.number(token) for token in tokens] == values


def test_a_comma_that_may_be_either_is_not_guessed():
    with pytest.raises(UserError, match=r"has the number 1,234, .* decimal points and no commas"):
        notation(["1,234", "2,345", "7"], "\t", "given")
    assert Notation().number("1,23") is None


@pytest.mark.parametrize("missing", ["NA", "", "NaN", "-", "#N/A", "null"])
@pytest.mark.parametrize("mark", [",", "\t"])
def test_rows_without_a_number_are_left_out_aloud(tmp_path, missing, mark):
    rows = [ROWS[0], ("0.5", missing, "1", "4"), ("0.7", missing, missing, "0"), *ROWS[1:]]
    with pytest.warns(UserWarning, match="2 of 6 rows .* line 3 without a number, line 4 with n ="):
        s = read_csv(write(tmp_path, table(rows, mark=mark)))
    np.testing.assert_allclose(numbers(s), NUMBERS)


def test_one_individual_needs_no_variance(tmp_path):
    rows = [ROWS[0], ("0.5", "3", "NA", "1"), *ROWS[1:]]
    s = read_csv(write(tmp_path, table(rows)))
    assert s.n.tolist() == [12, 1, 9, 30, 11]
    assert s.error[1] == pytest.approx(s.pooled_variance)
    assert s.pooled_variance == pytest.approx(
        np.average(NUMBERS[:, 2], weights=NUMBERS[:, 3] - 1), rel=1e-12
    )


def test_the_order_of_time_is_given_or_recognised(tmp_path):
    falling = write(tmp_path, table(as_ages(ROWS)))
    with pytest.warns(UserWarning, match=r"fall, so they are ages, .* with the oldest, 10"):
        s = read_csv(falling)
    np.testing.assert_allclose(numbers(s), NUMBERS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(numbers(read_csv(falling, time="falling")), NUMBERS)
        back = read_csv(falling, time="rising")
    np.testing.assert_allclose(back.mean, NUMBERS[::-1, 1])
    np.testing.assert_allclose(back.time, [6, 7.5, 9, 10])

    rising_ages = write(tmp_path, table(as_ages(ROWS)[::-1], ("Age", *HEAD[1:])))
    with pytest.warns(UserWarning, match=r"are ages \('age'\), .* with the oldest, 10"):
        np.testing.assert_allclose(numbers(read_csv(rising_ages)), NUMBERS)

    mixed = write(tmp_path, table([ROWS[i] for i in (2, 0, 3, 1)]))
    with pytest.raises(UserError, match=r"do not increase: 2.5 in line 2, then 0: .*--time rising"):
        read_csv(mixed)
    np.testing.assert_allclose(numbers(read_csv(mixed, time="rising")), NUMBERS)
    np.testing.assert_allclose(read_csv(mixed, time="falling").mean, NUMBERS[::-1, 1])
    with pytest.raises(UserError, match="order of time is 'up', it must be auto, rising, falling"):
        read_csv(mixed, time="up")


def test_one_trait_of_several_is_chosen(tmp_path):
    head = ("generation", "feature", "component", "n", "mean", "variance", "within", "between")
    rows = [
        (t, feature, c, n, mean, v, "1", "2")
        for t, m, v, n in ROWS
        for feature, c, mean in (("a", "0", m), ("a", "1", "9"), ("b", "0", "8"))
    ]
    path = write(tmp_path, table(rows, head))
    np.testing.assert_allclose(numbers(read_csv(path, trait="a", component=0)), NUMBERS)
    np.testing.assert_allclose(read_csv(path, trait="b").mean, 8)
    for choice, words in (
        ({}, "more than one trait, choose one .*: a, b"),
        ({"trait": "a"}, "more than one component, choose one .*: 0, 1"),
        ({"trait": "c"}, "no trait 'c', there are a, b"),
        ({"trait": "b", "component": 1}, "no component '1', there are 0"),
    ):
        with pytest.raises(UserError, match=words):
            read_csv(path, **choice)
    with pytest.raises(UserError, match="no column 'component', so component 0 cannot be chosen"):
        read_csv(write(tmp_path, table()), component=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04\x14\0", "workbook, .* save the table as CSV"),
        (bytes(range(256)), "binary file"),
        ("\n,,,\n", "is empty"),
        (table(rows=[]), "is empty: it has a header"),
        (table([row[:3] for row in ROWS], HEAD[:3]), "no column 'n', .* it has generation, mean,"),
        (table(head=("generation", "mean", "Mean", "n")), "'mean' and 'Mean', which mean the same"),
        (table().replace("2.125", "two"), "line 4 .* has the mean 'two', it must be a number"),
        (table().replace("2.5,", "2024-05-01,"), "line 4 .* has the time '2024-05-01'"),
        (table([ROWS[0], ROWS[0], *ROWS[1:]]), "0 in line 2, then 0: each sample must have"),
        (table().replace(",9", ",9.5"), "n = 9.5 in line 3, it must be an integer of 1 or more"),
        (table().replace("0.75", "-0.75"), "line 4 .* has variance -0.75"),
        (table([*ROWS[:2], (*ROWS[2], "7"), ROWS[3]]), "line 4 .* has 5 fields, its header has 4"),
        (table([(*row, "0.5") for row in ROWS]), "line 2 .* has 5 fields, its header has 4"),
        (table([(t, m, "0.1", "1") for t, m, *_ in ROWS]), "no sample of two individuals"),
        (table([("NA",) * 4] * 5), "no sample with time, mean, variance and n"),
        (table(head=None), "without a header the columns are n, mean, variance, time"),
        (
            paleots(mark=" ").replace("30 ", "30 1 "),
            "line 3 .* time; or a header",
        ),
    ],
)
def test_what_is_no_table_of_a_series_is_reported(tmp_path, content, words):
    path = write(tmp_path, content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=words):
            read_csv(path)
