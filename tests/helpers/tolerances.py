"""A plugin of pytest: how near each comparison comes to the tolerance that it allows.

python -m pytest -p tests.helpers.tolerances ...

At the end it prints, a test, the largest ratio of a difference to its tolerance, of assert_allclose
of NumPy, assert_close of torch and pytest.approx. TOLERANCES names a JSON file to write instead.
TOLERANCES_MKLDNN=0 switches oneDNN off in torch.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

WORST: dict[str, float] = {}
_test = [""]


def note(ratio: np.ndarray) -> None:
    finite = np.asarray(ratio, float)
    finite = finite[np.isfinite(finite)]
    if finite.size:
        WORST[_test[0]] = max(WORST.get(_test[0], 0.0), float(finite.max()))


def ratio(actual, expected, rtol, atol) -> np.ndarray:
    actual, expected = (np.asarray(z, float) for z in (actual, expected))
    allowed = atol + rtol * np.abs(expected)
    with np.errstate(all="ignore"):
        apart = np.abs(actual - expected)
        return np.where(apart == 0, 0.0, apart / allowed)


def pytest_configure(config) -> None:
    if "torch" in sys.modules or os.environ.get("TOLERANCES_MKLDNN") == "0":
        import torch

        torch.backends.mkldnn.enabled = os.environ.get("TOLERANCES_MKLDNN") != "0"
    plain = np.testing.assert_allclose

    def assert_allclose(actual, desired, rtol=1e-7, atol=0, *rest, **more):
        __tracebackhide__ = True
        note(ratio(actual, desired, rtol, atol))
        return plain(actual, desired, rtol, atol, *rest, **more)

    np.testing.assert_allclose = assert_allclose
    try:
        import torch
    except ImportError:
        torch = None
    if torch is not None:
        close = torch.testing.assert_close

        def assert_close(actual, expected, *rest, rtol=None, atol=None, **more):
            __tracebackhide__ = True
            pairs = [(actual, expected)]
            if isinstance(actual, (list, tuple)):
                pairs = list(zip(actual, expected, strict=True))
            for a, e in pairs:
                if isinstance(a, torch.Tensor):
                    r, t = torch.testing._comparison.get_tolerances(a, e, rtol=rtol, atol=atol)
                    note(ratio(a.detach().cpu().double(), e.detach().cpu().double(), r, t))
            return close(actual, expected, *rest, rtol=rtol, atol=atol, **more)

        torch.testing.assert_close = assert_close
    kind = type(pytest.approx(1.0))
    scalar = kind.__eq__

    def equal(self, actual):
        with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
            note(ratio(actual, self.expected, 0, self.tolerance))
        return scalar(self, actual)

    kind.__eq__ = equal


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    _test[0] = item.nodeid
    return (yield)


def pytest_terminal_summary(terminalreporter) -> None:
    if path := os.environ.get("TOLERANCES"):
        Path(path).write_text(json.dumps(WORST))
        return
    for name, worst in sorted(WORST.items(), key=lambda pair: -pair[1])[:30]:
        terminalreporter.write_line(f"{worst:8.3f}  {name}")
