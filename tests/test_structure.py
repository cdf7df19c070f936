"""The shape of the code: sizes, who imports whom, inheritance, docstrings, the public names, no path of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest

import xtransfer

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "xtransfer"
MAX_MODULE, MAX_FUNCTION, MAX_INHERITANCE = 300, 50, 2
NOT_A_STEP = {"ABC", "Protocol", "Generic", "NamedTuple", "TypedDict"}
"""Bases that say what a class is for, and give it nothing to inherit."""

LAYERS = (
    (
        "errors",
        "disk",
        "task",
        "benchmarks",
        "results",
        "run_table",
        "study*",
        "tables",
        "heads",
        "heads.*",
        "demo",
        "demo.*",
    ),
    (
        "encoder",
        "hardware",
        "packing",
        "active",
        "inner",
        "attention",
        "parts",
        "adapters",
        "pretrained",
        "pretrained_lm",
        "task_models",
        "hf",
        "offline",
        "optimizer",
        "samplers",
        "samplers.*",
        "bootstrap",
        "metrics",
        "metrics.*",
        "sources",
        "sources.*",
    ),
    (
        "kinds",
        "kinds.*",
        "submission",
        "evaluator",
        "example_scores",
        "compare",
        "significance",
        "curves",
        "plots",
        "mix_plot",
        "pictures",
    ),
    ("module", "once", "task_metrics", "datamodules", "datamodules.*"),
    (
        "pipeline",
        "training",
        "board",
        "hand_over",
        "resuming",
        "snapshots",
        "stopping",
        "checkpoints",
        "background",
        "lock",
        "stage*",
        "steps",
        "checks",
        "config",
        "config_files",
        "predictions",
        "provenance",
        "exporting",
        "publishing",
        "model_card",
        "sentence_folder",
        "versions",
        "layer_sweep",
        "identity",
        "costs",
        "store",
        "sharing",
        "planning",
        "plan_text",
        "alignment",
        "alignment.*",
        "sweeps",
        "sweeps.*",
    ),
    (
        "cli",
        "run_cli",
        "plan_cli",
        "export_cli",
        "options",
        "tables_cli",
        "sweep_cli",
        "mix_cli",
        "scoring_cli",
        "scoreboard",
        "labels",
        "report",
        "catalogue",
        "ablation",
        "align_cli",
        "__main__",
    ),
)
"""Patterns of module names from the bottom up; the first that fits counts. A module imports its own layer and lower."""

APART = (("module", "datamodules"), ("cli", "ablation"))
"""Pieces of one layer that never import each other."""

FRAMEWORKS = {"lightning", "pytorch_lightning"}
FIRST_LAYER_WITH_FRAMEWORK = 3
HEAVY = ("lightning", "pytorch_lightning", "transformers", "datasets", "torchmetrics")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported module: absolute name, name taken from it, line, inside a function, only for the type checker."""

    name: str
    taken: str
    line: int
    inside: bool
    typing_only: bool


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name -> syntax tree of every module of the package."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


def path_of(module: str) -> Path:
    base = ROOT.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def at(module: str, line: int) -> str:
    return f"{path_of(module).relative_to(ROOT).as_posix()}:{line}"


def report(rule: str, offenders: Iterable[str]) -> None:
    """Fail once, with every offender on a line of its own."""
    found = list(dict.fromkeys(offenders))
    if found:
        pytest.fail("\n  ".join([f"{rule}; {len(found)} break it:", *found]), pytrace=False)


def classes(public: bool = False) -> Iterator[tuple[str, ast.ClassDef]]:
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not (public and node.name.startswith("_")):
                yield module, node


def loaded(module: str, node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """What ``from x import a, b`` loads: ``x.a`` where that is one of our modules, else ``x`` and the name taken."""
    base = node.module or ""
    if node.level:
        package = module.split(".") if path_of(module).name == "__init__.py" else module.split(".")[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *base.split(".")]).rstrip(".")
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield (inner, "") if inner in modules() else (base, alias.name)


def imports(module: str) -> Iterator[Import]:
    """All imports of a module, at its top and inside functions."""

    def visit(node: ast.AST, inside: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, inside, typing_only)
        elif isinstance(node, ast.ImportFrom):
            for name, taken in loaded(module, node):
                yield Import(name, taken, node.lineno, inside, typing_only)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for part, guarded in ((node.body, True), (node.orelse, typing_only)):
                for child in part:
                    yield from visit(child, inside, guarded)
        else:
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside or isinstance(node, Function), typing_only)

    return visit(modules()[module], inside=False, typing_only=False)


def layer(module: str) -> int | None:
    short = module.removeprefix("xtransfer.")
    return next((n for n, patterns in enumerate(LAYERS) if any(fnmatch(short, p) for p in patterns)), None)


def within(module: str, piece: str) -> bool:
    return f"{module}.".startswith(f"xtransfer.{piece}.")


@cache
def layered() -> dict[str, int]:
    """Every module that has a layer; the package itself has none: it imports nothing until it is asked for a name."""
    found = {module: layer(module) for module in modules() if module != "xtransfer"}
    return {module: number for module, number in found.items() if number is not None}


def test_modules_and_functions_are_short() -> None:
    long_modules = [
        f"{at(module, 1)} has {lines} lines"
        for module in modules()
        if (lines := len(path_of(module).read_text(encoding="utf-8").splitlines())) > MAX_MODULE
    ]
    long_functions = [
        f"{at(module, node.lineno)} {node.name} has {lines} lines"
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, Function) and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
    ]
    report(f"A module has at most {MAX_MODULE} lines, a function {MAX_FUNCTION}", long_modules + long_functions)


def test_every_module_has_a_layer() -> None:
    missing = [at(module, 1) for module in modules() if module != "xtransfer" and layer(module) is None]
    report("Every module stands in a layer: add it to LAYERS in this file", missing)


def test_imports_go_to_the_own_layer_or_lower() -> None:
    offenders = []
    for module, number in layered().items():
        for found in imports(module):
            if found.name == "xtransfer" and found.taken not in ("", "__version__"):
                offenders.append(f"{at(module, found.line)} takes a name from the package: name the module it is in")
            elif found.name in layered() and layered()[found.name] > number:
                offenders.append(
                    f"{at(module, found.line)} (layer {number}) imports {found.name} (layer {layered()[found.name]})"
                )
    report("A module imports its own layer and lower ones", offenders)


def test_neighbours_that_stay_apart() -> None:
    offenders = [
        f"{at(module, found.line)} imports {found.name}"
        for pair in APART
        for one, other in (pair, pair[::-1])
        for module in modules()
        if within(module, one)
        for found in imports(module)
        if within(found.name, other)
    ]
    report(f"These never import each other: {', '.join(' and '.join(pair) for pair in APART)}", offenders)


def test_what_each_layer_may_load() -> None:
    offenders = []
    for module, number in layered().items():
        in_heads = within(module, "heads")
        for found in imports(module):
            top = found.name.split(".")[0]
            if found.typing_only or top in sys.stdlib_module_names or top == "xtransfer":
                continue
            allowed = {"torch"} if in_heads else set()
            if in_heads and found.inside:
                allowed |= {"safetensors"}
            lazily = found.inside and not in_heads
            if number == 0 and not lazily and top not in allowed:
                offenders.append(f"{at(module, found.line)} imports {found.name}")
            elif number < FIRST_LAYER_WITH_FRAMEWORK and top in FRAMEWORKS:
                offenders.append(f"{at(module, found.line)} imports {found.name}, for layers 3 and up")
    report("Layer 0 loads the standard library, heads torch as well; Lightning begins at layer 3", offenders)


def test_what_is_imported_is_declared() -> None:
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    declared = {re.split(r"[^\w.-]", name)[0].replace("-", "_").lower() for name in wanted}
    offenders = [
        f"{at(module, found.line)} imports {found.name}"
        for module in modules()
        for found in imports(module)
        if (top := found.name.split(".")[0]) not in sys.stdlib_module_names | {"xtransfer"}
        and {"yaml": "pyyaml", "sklearn": "scikit_learn"}.get(top, top.lower()) not in declared
    ]
    report("What the package imports stands in pyproject.toml", offenders)


def test_inheritance_is_shallow() -> None:
    """At most two steps up: to a class of ours and from there to a framework's, or to the root of an interface."""
    bases: dict[str, set[str]] = {}
    for _, node in classes():
        names = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
        bases.setdefault(node.name, set()).update(names - {node.name} - NOT_A_STEP)

    def chain(name: str) -> list[str]:
        """The longest line of classes that ends in `name`, from the bottom up, a framework's class included."""
        return [name, *max((chain(base) for base in bases.get(name, ())), key=len, default=[])]

    offenders = [
        f"{at(module, node.lineno)} {' < '.join(chain(node.name))}"
        for module, node in classes()
        if len(chain(node.name)) > MAX_INHERITANCE + 1
    ]
    report(f"At most {MAX_INHERITANCE} steps of inheritance", offenders)


def test_public_names_are_documented() -> None:
    offenders = [at(module, 1) for module, tree in modules().items() if not ast.get_docstring(tree)]
    public = list(classes(public=True))
    for module, tree in modules().items():
        public_classes = [node for scope, node in public if scope == module]
        for scope in (tree, *public_classes):
            found = [node for node in scope.body if isinstance(node, Function) and not node.name.startswith("_")]
            found = [node for node in found if not is_redefinition(node)]
            offenders += [f"{at(module, n.lineno)} {n.name}" for n in found if not ast.get_docstring(n)]
        offenders += [f"{at(module, n.lineno)} {n.name}" for n in public_classes if not ast.get_docstring(n)]
    report("Every module, public class and public function has a docstring", offenders)


def is_redefinition(node: Function) -> bool:
    """Whether the docstring stands elsewhere: on the base class's method, the getter or the implementation."""
    names = [ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list]
    return any(name in ("override", "overload", "setter", "deleter") for name in names)


def test_constructors_name_all_their_arguments() -> None:
    offenders = [
        f"{at(module, inner.lineno)} {node.name}"
        for module, node in classes(public=True)
        for inner in node.body
        if isinstance(inner, Function) and inner.name == "__init__" and (inner.args.vararg or inner.args.kwarg)
    ]
    report("A public constructor takes no *args or **kwargs: they hide typing errors in YAML", offenders)


def test_no_drawer_for_leftovers() -> None:
    names = {"utils", "util", "helpers", "misc", "common"}
    report("A module is named after what it holds", (at(m, 1) for m in modules() if m.split(".")[-1] in names))


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [("xtransfer", ("torch", *HEAVY)), ("xtransfer.heads", HEAVY), ("xtransfer.task", ("torch", *HEAVY))],
)
def test_importing_stays_light(imported: str, unwanted: tuple[str, ...]) -> None:
    code = f"import sys, {imported}; print(*sorted(set({unwanted!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report(f"Importing {imported} loads neither of these", done.stdout.split())


def test_public_names_come_from_where_the_package_says() -> None:
    offenders = []
    for name in xtransfer.__all__:
        try:
            value = getattr(xtransfer, name)
        except (ImportError, AttributeError) as error:
            offenders.append(f"{name}: {error}")
        else:
            if name != "__version__" and (value.__name__, value.__module__.split(".")[0]) != (name, "xtransfer"):
                offenders.append(f"{name} is {value!r}")
    report("Every name of xtransfer.__all__ can be imported", offenders)


def test_type_checkers_see_the_same_names() -> None:
    seen = {
        alias.name: node.module
        for node in ast.walk(modules()["xtransfer"])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("xtransfer.")
        for alias in node.names
    }
    assert seen == xtransfer._HOME
    assert set(xtransfer.__all__) == {*seen, "__version__"}
    assert set(xtransfer.__all__) <= set(dir(xtransfer))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Traner"):
        _ = import_module("xtransfer").Traner


def test_no_file_names_one_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is unknown")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    own = [re.escape(f"{folder}/") for folder in (Path.home(), ROOT) if len(folder.parts) > 1]
    machine = re.compile("|".join([r"(?<![\w.])/(?:home|Users)/\w", *(rf"(?<![\w.]){path}" for path in own)]))
    offenders = []
    for name in sorted({name for name in listing.stdout.decode().split("\0") if (ROOT / name).is_file()}):
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        lines = text.splitlines()
        offenders += [f"{name}:{n} {line.strip()[:100]}" for n, line in enumerate(lines, 1) if machine.search(line)]
    report("No file holds a path that exists on one machine alone", offenders)
