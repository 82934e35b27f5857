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
SHAPED = re.compile(r"\w+\[(np\.ndarray|Tensor|Array), \\?['\"]")


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
    """Yield (line, annotation) of every argument, result and field below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.lineno, node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.lineno, node.returns


def public(node):
    """Yield (line, annotation) of what is public in a module or class: arguments and results of
    functions, fields, and those of public classes."""
    for child in node.body:
        name = getattr(child, "name", "")
        if name.startswith("_") and not name.endswith("__"):
            continue
        if isinstance(child, ast.ClassDef):
            yield from public(child)
        elif isinstance(child, ast.AnnAssign):
            yield child.lineno, child.annotation
        elif isinstance(child, ast.FunctionDef):
            arguments = child.args
            for argument in (
                *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg,
                arguments.kwarg,
            ):  # fmt: skip
                if argument is not None and argument.annotation is not None:
                    yield argument.lineno, argument.annotation
            if child.returns is not None:
                yield child.lineno, child.returns


def lacks_a_shape(annotation):
    """Return whether a class of arrays is named other than as in ``Float[Tensor, "n d"]``."""
    text = ast.unparse(annotation)
    return re.search(r"\b(ndarray|Tensor|Array)\b", SHAPED.sub("", text)) is not None


def bare(package, select):
    """Return the places of a package at which a selected annotation has no shape, and how many
    annotations have one."""
    places, count = [], 0
    for path in sorted(package.rglob("*.py")):
        for line, annotation in select(path, ast.parse(path.read_text(encoding="utf-8"))):
            places += [f"{path}:{line}"] if lacks_a_shape(annotation) else []
            count += SHAPED.search(ast.unparse(annotation)) is not None
    return places, count


def test_an_array_without_a_shape_is_found():
    for text in (
        "dict[str, np.ndarray | None]",
        "'Tensor'",
        "Float[Tensor, 'n'] | Tensor",
        "Callable[[Array], Float[Array, '...']]",
        "jax.Array",
    ):
        assert lacks_a_shape(ast.parse(text, mode="eval").body)
    module = """
class Public:
    field: Array
    def method(self, x: Array, *rest: Array) -> Array: ...
    def __call__(self, x: Array): ...
    def _hidden(self, x: Array): ...
class _Hidden:
    field: Array
def function(x: Array): ...
def shaped(x: Float[Array, "n d"], y: ArrayLike): ...
"""
    found = [line for line, x in public(ast.parse(module)) if lacks_a_shape(x)]
    assert found == [3, 4, 4, 4, 5, 9]


def test_every_array_of_a_chain_has_a_shape():
    places, count = bare(PACKAGE, lambda path, tree: annotations(tree))
    assert places == []
    assert count > 50


@pytest.mark.parametrize("package", ["qtm", "analysis", "figures"])
def test_every_public_array_has_a_shape(package):
    root = PACKAGE.parent / package

    def of_public_modules(path, tree):
        names = path.relative_to(root).with_suffix("").parts
        if any(name.startswith("_") and name != "__init__" for name in names):
            return []
        return public(tree)

    places, count = bare(root, of_public_modules)
    assert places == []
    assert count > {"qtm": 150, "analysis": 150, "figures": 20}[package]


def test_every_module_with_shapes_is_checked():
    unchecked = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "from jaxtyping import" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            loader = importlib.util.find_spec(name).loader
            unchecked += [] if "jaxtyping" in type(loader).__module__ else [name]
    # See tests/conftest.py.
    traced = ("bare", "compiled", "winograd")
    assert unchecked == [f"empirical.pipeline.{name}" for name in traced]


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
