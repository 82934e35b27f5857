"""Every form of selection, mutation and inheritance, found in the package and given an example."""

import importlib
import inspect
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jax.scipy.special import ndtri

import qtm
import qtm.inheritance
import qtm.mutation
import qtm.selection
from qtm.inheritance import Inheritance
from qtm.mutation import Mutation
from qtm.selection import Selection


class Quartic(eqx.Module):
    """Log fitness -a z^4, with a slope in a."""

    a: jax.Array

    def __call__(self, z):
        return -self.a * z**4


# What a form looks like in the tests: keywords of its constructor, one dictionary an example.
# The populations they act on have means near 0 and variances near 1.
EXAMPLES = {
    "BestOf": [{"n": 3.0}],
    "Clonal": [{}],
    "Directional": [{"gradient": 0.4}, {"gradient": -0.7}],
    "Disruptive": [{"optimum": 0.1, "width2": 3.0}],
    "Fitness": [{"log_fitness": Quartic(jnp.asarray(0.3))}],
    "GaussianMutation": [{"variance": 0.3}],
    "Guidance": [
        {"scale": w, "unconditional": qtm.Moments(mean=-0.5, variance=2.0), "operator": operator}
        for operator in ("tilt", "ddim", "ddpm")
        for w in (0.4, 2.5)
    ],
    "HouseOfCards": [{"rate": 0.2, "mean": -0.4, "variance": 1.3}],
    "Infinitesimal": [{"genic_variance": 1.1, "environmental_variance": 0.4}],
    "LaplaceMutation": [{"variance": 0.3}],
    "Middle": [{"fraction": 0.4}],
    "Neutral": [{}],
    "NoMutation": [{}],
    "Refit": [{}, {"bias": 0.8}],
    "Regression": [{"heritability": 0.7, "base_mean": 0.5, "base_variance": 1.5}],
    "SoftTruncation": [{"fraction": 0.3, "softness": 0.6}],
    "Stabilizing": [{"optimum": 0.8, "width2": 2.0}],
    "StudentMutation": [{"variance": 0.3, "dof": 30.0}],
    "Tails": [{"fraction": 0.3}],
    "Truncation": [{"fraction": 0.3}, {"fraction": 0.6, "tail": "lower"}],
}


def final_classes(module, base):
    """The final classes below `base` that `module`, or a module of the package, defines."""
    modules = [module]
    for info in pkgutil.iter_modules(getattr(module, "__path__", [])):
        modules.append(importlib.import_module(f"{module.__name__}.{info.name}"))
    found = {
        value
        for part in modules
        for value in vars(part).values()
        if inspect.isclass(value) and issubclass(value, base) and not inspect.isabstract(value)
    }
    return sorted(found, key=lambda cls: cls.__name__)


FORMS = {
    "selection": final_classes(qtm.selection, Selection),
    "mutation": final_classes(qtm.mutation, Mutation),
    "inheritance": final_classes(qtm.inheritance, Inheritance),
}
FORMS["form"] = [cls for classes in FORMS.values() for cls in classes]


def cases(classes):
    """(class, example, number of the example) for every example of every class."""
    return [
        (cls, example, i)
        for cls in classes
        for i, example in enumerate(EXAMPLES.get(cls.__name__, [None]))
    ]


def pytest_generate_tests(metafunc):
    name = lambda case: f"{case[0].__name__}{case[2] or ''}"
    if {"selection", "mutation"} <= set(metafunc.fixturenames):
        # Every form with every form; the further examples of a selection with one mutation.
        pairs = [
            pytest.param(s, m, id=f"{name(s)}-{name(m)}")
            for s in cases(FORMS["selection"])
            for m in cases(FORMS["mutation"])
            if s[2] == 0 or m[0] is qtm.GaussianMutation
        ]
        metafunc.parametrize(("selection", "mutation"), pairs, indirect=True)
        return
    for part, classes in FORMS.items():
        if part in metafunc.fixturenames:
            metafunc.parametrize(part, cases(classes), ids=name, indirect=True)


def build(request):
    cls, example, _ = request.param
    if example is None:
        pytest.fail(f"{cls.__name__} has no example: add one to EXAMPLES in {__file__}")
    return cls(**example)


@pytest.fixture
def selection(request):
    return build(request)


@pytest.fixture
def mutation(request):
    return build(request)


@pytest.fixture
def inheritance(request):
    return build(request)


@pytest.fixture
def form(request):
    """Any of the three."""
    return build(request)


@pytest.fixture(scope="session")
def quantiles():
    """Individuals at even quantiles of N(m, V): a Gaussian population without sampling error."""

    def make(mean=0.2, variance=0.8, size=5_000):
        x = ndtri((jnp.arange(size) + 0.5) / size)
        x = x / jnp.std(x)
        return qtm.Individuals(mean + jnp.sqrt(variance) * x)

    return make


@pytest.fixture(scope="session")
def agree():
    """Asserts that moments of individuals lie within 4 standard errors of theory."""

    def check(individuals, moments, sigmas=4.0):
        z, N = individuals.values, individuals.size
        mu4 = jnp.mean((z - individuals.mean) ** 4, axis=0)
        error_mean = jnp.sqrt(moments.variance / N)
        error_variance = jnp.sqrt((mu4 - individuals.variance**2) / N)
        assert jnp.all(jnp.abs(individuals.mean - moments.mean) <= sigmas * error_mean + 1e-12)
        expected = moments.variance * (1 - 1 / N)  # the divisor of a population variance is N
        assert jnp.all(jnp.abs(individuals.variance - expected) <= sigmas * error_variance + 1e-12)

    return check
