"""Time and peak memory of `make test`, `make demo` and `make test-slow`, all processes together.

Run it without other work, after `make install`.
"""

from tests.verification.expectations import Claim, at_most, between

CLAIMS = (
    Claim("README.md", "On two cores the demo takes two to eight minutes and 1.6 GB of "
    "memory."),
    Claim("docs/install.md", "| `make demo` | four chains on handwritten digits, fits, and a "
    "report | 2:07 to 2:54 alone, up to 8:12 beside other work; 1.6 GB | | `make test` | style, "
    "and the tests to run before a commit | 7 to 12 minutes; 3.2 GB |"),
    Claim("docs/install.md", "| `make test-slow` | tests of many fits or chains, of the wheel, of "
    "the documentation and of other Pythons | 15 to 30 minutes; 6.9 GB |"),
)  # fmt: skip
# Runs of the same code on this machine differ by a quarter.
EXPECTED = {
    "make demo (min)": between(1.5, 8.2),
    "make demo (GB)": at_most(1.7),
    "make test (min)": between(5.5, 12),
    "make test (GB)": at_most(3.4),
    "make test-slow (min)": between(11, 31),
    "make test-slow (GB)": at_most(6.95),
}
SECONDS, MEMORY = 2600, 6.9
NEEDS = ("idle machine",)


def measure() -> dict[str, float]:
    from tests.helpers.peak_memory import peak_memory

    values = {}
    for target in ("demo", "test", "test-slow"):
        peak = peak_memory(["make", "--no-print-directory", target])
        print(peak)
        if peak.returncode:
            raise RuntimeError(f"make {target} failed")
        values[f"make {target} (min)"] = peak.seconds / 60
        values[f"make {target} (GB)"] = peak.bytes / 1e9
    return values
