"""Every form of selection, mutation and inheritance, found in the package, and its examples."""

import jax.numpy as jnp
import pytest
from jax.scipy.special import ndtri

import qtm
from qtm import _forms

FORMS = {
    part: [getattr(qtm, name) for name in sorted(_forms.modules(part))] for part in _forms.ABSTRACT
}
FORMS["form"] = [cls for classes in FORMS.values() for cls in classes]


def cases(classes):
    """(example, number of the example) for every example of every class."""
    return [(example, i) for cls in classes for i, example in enumerate(cls.examples())]


def pytest_generate_tests(metafunc):
    name = lambda case: f"{type(case[0]).__name__}{case[1] or ''}"
    if {"selection", "mutation"} <= set(metafunc.fixturenames):
        # Every form with every form; the further examples of a selection with one mutation.
        pairs = [
            pytest.param(s, m, id=f"{name(s)}-{name(m)}")
            for s in cases(FORMS["selection"])
            for m in cases(FORMS["mutation"])
            if s[1] == 0 or isinstance(m[0], qtm.GaussianMutation)
        ]
        metafunc.parametrize(("selection", "mutation"), pairs, indirect=True)
        return
    for part, classes in FORMS.items():
        if part in metafunc.fixturenames:
            metafunc.parametrize(part, cases(classes), ids=name, indirect=True)


@pytest.fixture
def selection(request):
    return request.param[0]


@pytest.fixture
def mutation(request):
    return request.param[0]


@pytest.fixture
def inheritance(request):
    return request.param[0]


@pytest.fixture
def form(request):
    """Any of the three."""
    return request.param[0]


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
