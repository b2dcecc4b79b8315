"""What files import, by their syntax trees, and modules that import each other round about."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Import:
    module: str  # dotted, absolute
    line: int
    at_module_level: bool


def imports(tree: ast.Module) -> Iterator[Import]:
    """Everything that a module imports, inside functions too; what only type checkers see is left out."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside |= {id(child) for child in ast.walk(node)}
    unseen = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # `from ds2ray import storage` names a module, too
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module else []
            if node.level:
                names = ["." * node.level]
        else:
            continue
        for name in names:
            yield Import(name, node.lineno, id(node) not in inside)


def our_files() -> list[str]:
    files = [path for top in ("ds2ray", "jobs") for path in (ROOT / top).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in files)


def imported_modules(path: str, source: str, modules: Collection[str]) -> set[str]:
    """Which of `modules` a file imports, anywhere in it: a package where a name is its own, else the module in it."""
    found = set()
    for item in imports(ast.parse(source)):
        name = item.module
        while name and name not in modules:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {"", "ds2ray", module_name(path)}


def circles(sources: Mapping[str, str]) -> list[list[str]]:
    """The modules that import each other round about, one list for each knot of them; `sources` are by path."""
    modules = {module_name(path) for path in sources}
    graph = {module_name(path): imported_modules(path, source, modules) for path, source in sources.items()}
    reached = {module: _reachable(graph, module) for module in graph}
    knots = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(knot) for knot in knots)


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """What `start` imports, and what that imports, and so on."""
    found: set[str] = set()
    todo = list(graph[start])
    while todo:
        module = todo.pop()
        if module not in found:
            found.add(module)
            todo += graph[module]
    return found


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
