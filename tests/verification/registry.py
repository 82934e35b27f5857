"""Find the verifications, one file each in `tests.verification.checks`, and run them."""

import importlib
import inspect
import pkgutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType, UnionType
from typing import Any, get_args, get_origin

from tests.verification import checks
from tests.verification.expectations import Claim, Expected, Measured


@dataclass(frozen=True)
class Verification:
    """A verification: a module with the constants of `tests.verification` and a function
    ``measure``, whose keyword parameters are its options on the command line."""

    name: str

    @property
    def module(self) -> ModuleType:
        """The module, imported on first use: one that needs no library runs without any."""
        return importlib.import_module(f"{checks.__name__}.{self.name}")

    @property
    def title(self) -> str:
        """The first line of the module's docstring."""
        return (self.module.__doc__ or "").splitlines()[0]

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.module.CLAIMS

    @property
    def expected(self) -> Mapping[str, Expected]:
        return self.module.EXPECTED

    @property
    def seconds(self) -> float:
        """Expected run time on two cores without other work."""
        return self.module.SECONDS

    @property
    def memory(self) -> float:
        """Expected peak memory in GB."""
        return self.module.MEMORY

    @property
    def needs(self) -> tuple[str, ...]:
        """Its needs beyond two cores: "GPU", "network", "idle machine"."""
        return getattr(self.module, "NEEDS", ())

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The keyword parameters of ``measure`` by name."""
        return dict(inspect.signature(self.module.measure).parameters)

    def run(self, **options: Any) -> "Outcome":
        """Measure, and compare with the claims; raise ValueError where a value has no expectation
        or an expectation no value."""
        begin = time.perf_counter()
        values = self.module.measure(**options)
        if set(values) != set(self.expected):
            odd = sorted(set(values) ^ set(self.expected))
            raise ValueError(f"'{self.name}' measures and expects different values: {odd[0]}")
        measured = {
            name: value if isinstance(value, Measured) else Measured(float(value))
            for name, value in values.items()
        }
        return Outcome(self, measured, time.perf_counter() - begin)


@dataclass(frozen=True)
class Outcome:
    """What a verification measured, and how long it took in seconds."""

    verification: Verification
    measured: Mapping[str, Measured]
    seconds: float

    def wrong(self) -> list[str]:
        """Return the names of the values that do not agree."""
        expected = self.verification.expected
        return [name for name in expected if not expected[name].holds(self.measured[name])]

    def table(self) -> str:
        """Return claimed, measured, ok: a line for each value."""
        expected, wrong = self.verification.expected, self.wrong()
        rows = [("", "claimed", "measured", "ok")]
        for name in expected:
            ok = "no" if name in wrong else "yes"
            rows.append((name, str(expected[name]), str(self.measured[name]), ok))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def every_verification() -> dict[str, Verification]:
    """Return each verification by name, found by listing the package."""
    names = [m.name for m in pkgutil.iter_modules(checks.__path__) if not m.name.startswith("_")]
    return {name: Verification(name) for name in sorted(names)}


def converter(parameter: inspect.Parameter) -> Any:
    """Return the type of an option on the command line, by its annotation: int, float, str or Path,
    each alone, with None, or as a tuple of several."""
    kind = parameter.annotation
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return get_args(kind)[0] if get_origin(kind) is tuple else kind
