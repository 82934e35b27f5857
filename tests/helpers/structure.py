"""The structure of the code, read from its imports: rooms, floors, arrows and circles.

A room is a subpackage with the modules in it, or a module right below a package. An arrow is an
import of one room by another, wherever in a file it stands.
`python -m tests.helpers.structure` prints all.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("qtm", "empirical", "analysis", "figures")
# Modules of other packages that may be imported. Reading a run needs no torch, and `empirical`
# itself exports a chain and its recipe, which load torch once they are used.
OF_RUNS = (
    "empirical.runs",
    "empirical.recipe",
    "empirical.files",
    "empirical.errors",
    "empirical.Chain",
)
ALLOWED = {
    "qtm": (),
    "empirical": (),
    "analysis": ("qtm", *OF_RUNS),
    "figures": ("qtm", "analysis", *OF_RUNS),
}

Arrow = tuple[str, str]


def files(root: Path = ROOT) -> dict[str, Path]:
    """Return every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, runtime: bool = False) -> Iterator[str]:
    """Yield every name that a file imports, dotted, anywhere in it.

    With `runtime`, only what is imported together with the file: nothing in functions or for type
    checkers.
    """
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif runtime and isinstance(node, ast.FunctionDef | ast.Lambda):
            continue
        elif runtime and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)


def module_arrows(root: Path = ROOT, runtime: bool = False) -> set[Arrow]:
    """Return (importing module, imported module) within the packages."""
    modules = files(root)
    arrows = set()
    for name, path in modules.items():
        for target in imports(path, runtime):
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target != name:
                arrows.add((name, target))
    return arrows


def room(module: str, modules: Mapping[str, Path]) -> str:
    """Return the package that a module lies in, or is; right below a package, the module."""
    alone = modules[module].name == "__init__.py" or module.count(".") == 1
    return module if alone else module.rpartition(".")[0]


def room_arrows(root: Path = ROOT) -> set[Arrow]:
    """Return (importing room, imported room)."""
    modules = files(root)
    pairs = {(room(a, modules), room(b, modules)) for a, b in module_arrows(root)}
    return {(a, b) for a, b in pairs if a != b}


def upward(root: Path = ROOT) -> list[tuple[str, str]]:
    """Return (module, name) of all imports that another package is not allowed."""
    found = []
    for name, path in files(root).items():
        package = name.partition(".")[0]
        for target in imports(path):
            other = target.partition(".")[0]
            if other not in PACKAGES or other == package:
                continue
            if not any(f"{target}.".startswith(f"{may}.") for may in ALLOWED[package]):
                found.append((name, target))
    return found


def circles(arrows: Iterable[Arrow]) -> list[list[str]]:
    """Return the sets of nodes that reach each other, largest first (Tarjan 1972)."""
    after = defaultdict(list)
    for a, b in arrows:
        after[a].append(b)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in after.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while not component or component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(after):
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)


def floors(arrows: Iterable[Arrow]) -> int:
    """Return how many rooms stand on each other at most, a circle counted as one."""
    arrows = set(arrows)
    name = {node: circle[0] for circle in circles(arrows) for node in circle}
    after = defaultdict(set)
    for a, b in arrows:
        a, b = name.get(a, a), name.get(b, b)
        if a != b:
            after[a].add(b)
    height: dict[str, int] = {}

    def climb(node: str) -> int:
        if node not in height:
            height[node] = 1 + max((climb(below) for below in after.get(node, ())), default=0)
        return height[node]

    return max(map(climb, [*after, ""]))


def main() -> None:
    modules, rooms = files(), room_arrows()
    lines = sum(len(path.read_text().splitlines()) for path in modules.values())
    print(f"{len(modules)} modules, {lines} lines")
    print(f"{len({room(module, modules) for module in modules})} rooms on {floors(rooms)} floors")
    print(f"{len(module_arrows())} arrows between modules, {len(rooms)} between rooms")
    print(f"{len(upward())} arrows that run up")
    for module, target in upward():
        print(f"  {module} -> {target}")
    for what, arrows in (
        ("modules", module_arrows()),
        ("modules, as they load", module_arrows(runtime=True)),
        ("rooms", rooms),
    ):
        found = circles(arrows)
        print(f"{len(found)} circles of {what}")
        for circle in found:
            print(f"  {', '.join(circle)}")


if __name__ == "__main__":
    main()
