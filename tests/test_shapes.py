"""Arrays that do not fit their annotation are refused while the tests run."""

import ast
import importlib.util
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError, jaxtyped

import empirical
from analysis.arms.levels import Visited
from analysis.trait_series import walks
from empirical import files
from empirical.data.real_images import Population
from qtm.cycle.evolution import Trajectory
from tests.helpers import shapes

PACKAGE = Path(empirical.__file__).parent


def test_a_wrong_rank_is_refused():
    with pytest.raises(
        TypeCheckError, match=r"parameters of analysis\.trait_series\.walks\.expected"
    ):
        walks.expected("stasis", {"theta": 0.0}, np.zeros((3, 2)))


def test_a_wrong_dtype_is_refused():
    with pytest.raises(
        TypeCheckError, match=r"parameters of analysis\.trait_series\.walks\.expected"
    ):
        walks.expected("stasis", {"theta": 0.0}, np.arange(3))


def test_fields_of_one_object_share_their_axes():
    Trajectory(mean=jnp.zeros(3), variance=jnp.zeros(3), final=None)
    with pytest.raises(TypeCheckError, match="Trajectory"):
        Trajectory(mean=jnp.zeros(3), variance=jnp.zeros((4, 2)), final=None)
    with pytest.raises(TypeCheckError, match="Visited"):
        Visited(np.zeros((2, 2)))


def test_images_and_populations_are_bytes_with_channels(tmp_path):
    with pytest.raises(TypeCheckError, match=r"parameters of empirical\.files\.write_image"):
        files.write_image(tmp_path / "x.png", np.zeros((8, 8, 1)))
    with pytest.raises(TypeCheckError, match="Population"):
        Population(np.zeros((2, 8, 8), np.uint8), ("a", "b"))


def test_tensors_are_refused_as_arrays_are(request):
    torch = pytest.importorskip("torch", reason="tensors need torch")
    from empirical.classifier import network
    from empirical.classifier.config import Config
    from empirical.conditioning import Conditioning
    from empirical.pipeline.adapters import LowRank

    with pytest.raises(TypeCheckError, match="Conditioning"):
        Conditioning(torch.zeros(2, 3, 4), torch.zeros(3, 5))
    with pytest.raises(TypeCheckError, match=r"LowRank\.__init__"):
        LowRank(torch.zeros(2, 6), torch.zeros(4, 3))
    with pytest.raises(TypeCheckError, match=r"network\.predict"):
        network.predict(network.Classifier(Config(("a",), 1, (4, 4, 4))), np.zeros((2, 28, 28)))
    model = request.getfixturevalue("digits")
    with pytest.raises(TypeCheckError, match="denoise"):
        model.denoise(torch.zeros(2, 16), torch.tensor(5), model.embed(["", ""]))


def annotations(tree):
    """Yield (line, annotation) of every argument, result and field of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.lineno, node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.lineno, node.returns


def lacks_a_shape(annotation):
    """Return whether ndarray or Tensor is named other than as in ``Float[Tensor, "n d"]``."""
    text = ast.unparse(annotation)
    shaped = re.compile(r"\w+\[(np\.ndarray|Tensor), \\?['\"]")
    return re.search(r"\b(ndarray|Tensor)\b", shaped.sub("", text)) is not None


def test_every_array_of_a_chain_has_a_shape():
    for text in ("dict[str, np.ndarray | None]", "'Tensor'", "Float[Tensor, 'n'] | Tensor"):
        assert lacks_a_shape(ast.parse(text, mode="eval").body)
    bare, count = [], 0
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, annotation in annotations(ast.parse(path.read_text(encoding="utf-8"))):
            bare += [f"{path}:{line}"] if lacks_a_shape(annotation) else []
            count += "[Tensor, " in ast.unparse(annotation)
    assert bare == []
    assert count > 50


def test_every_module_with_shapes_is_checked():
    unchecked = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "from jaxtyping import" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            loader = importlib.util.find_spec(name).loader
            unchecked += [] if "jaxtyping" in type(loader).__module__ else [name]
    # See tests/conftest.py.
    assert unchecked == ["empirical.pipeline.compiled", "empirical.pipeline.winograd"]


@jaxtyped(typechecker=shapes.checked)
def outer(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"] | None = None, name: int = 0
) -> tuple[Float[np.ndarray, "n m"], list[Float[np.ndarray, " n"]]]:
    y = x if y is None else y
    table = np.outer(x, y)
    return (table.T if name == 1 else table), [x if name != 2 else y]


def test_the_checker_looks_into_unions_tuples_and_lists_and_at_nothing_else():
    x, y = np.zeros(2), np.zeros(3)
    assert outer(x)[0].shape == (2, 2)
    assert outer(x, y, name="no integer")[0].shape == (2, 3)
    for name in (1, 2):
        with pytest.raises(TypeCheckError, match="return value"):
            outer(x, y, name)
    with pytest.raises(TypeCheckError, match="parameters"):
        outer(x, "no array")
