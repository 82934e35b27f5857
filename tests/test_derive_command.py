"""`qtm derive`: lists the derivations, prints their LaTeX, writes a document of them."""

import re
import subprocess
import sys

import pytest

from analysis import derivations


def test_without_names_every_derivation_is_listed(qtm):
    code, out, _ = qtm("derive")
    assert code == 0
    listed = dict(line.split(": ", 1) for line in out.splitlines())
    assert sorted(listed) == derivations.__all__
    for name, said in listed.items():
        assert said == getattr(derivations, name).__doc__.splitlines()[0]


def test_names_print_their_expressions(qtm):
    code, out, _ = qtm("derive", "directional")
    assert code == 0
    expected = derivations.latex("directional")
    assert dict(line.split(": ", 1) for line in out.splitlines()) == expected
    code, out, _ = qtm("derive", "directional", "truncated_normal")
    keys = [line.split(": ")[0] for line in out.splitlines()]
    assert keys[0] == "directional.mean"
    assert keys[-1] == "truncated_normal.variance"


def test_the_document_is_balanced_and_has_every_expression(qtm, tmp_path):
    path = tmp_path / "theory.tex"
    chosen = ["directional", "stabilizing"]
    code, out, _ = qtm("derive", *chosen, "--tex", path)
    assert (code, out.strip()) == (0, str(path))
    text = path.read_text()
    assert text.startswith(r"\documentclass")
    assert text.endswith("\\end{document}\n")
    begun, ended = (re.findall(rf"\\{word}{{([a-z*]+)}}", text) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    for name in chosen:
        for expression in derivations.latex(name).values():
            assert expression in text
    # outside of equations nothing is left that LaTeX would take for a command
    prose = re.sub(r"\\begin{equation\*}.*?\\end{equation\*}", "", text, flags=re.S)
    assert not re.search(r"(?<!\\)[&%$#_^~]", prose)


@pytest.mark.parametrize("words", [("alchemy",), ("directional", "alchemy", "--tex", "t.tex")])
def test_an_unknown_name_is_one_sentence(qtm, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, out, said = qtm("derive", *words)
    assert (code, out) == (2, "")
    assert "there is no derivation 'alchemy', there are base_regression, " in said
    assert len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_help_loads_no_sympy():
    code = "import sys, qtm.__main__; sys.exit('sympy' in sys.modules or 'analysis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
