"""Imports go one way: scripts -> dnnlib.denoising -> dnnlib.tflib, dnnlib.submission; inside dnnlib.denoising as below."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parent.parent
DENOISING = PROGRAM / "dnnlib" / "denoising"

# Each package or module of dnnlib.denoising, and what it may import beside itself: no entry names a later one.
MAY_IMPORT = {
    "noise":         set(),
    "pictures":      set(),
    "hole":          set(),
    "configuration": {"noise", "hole"},
    "network":       {"noise", "hole", "configuration"},
    "judging":       set(),
    "reports":       {"pictures", "judging"},
    "data_options":  {"configuration", "pictures"},
    "options":       {"noise", "hole", "pictures", "configuration", "network", "judging", "data_options"},
    "run_name":      {"configuration", "options"},
    "data":          {"noise", "pictures", "configuration", "network"},
    "evaluation":    {"noise", "hole", "pictures", "configuration", "network", "data", "judging", "reports"},
    "training":      {"noise", "hole", "pictures", "configuration", "network", "options", "data_options", "data",
                      "evaluation", "reports"},
    "inference":     {"noise", "hole", "pictures", "configuration", "network", "options"},
    "adapting":      {"noise", "hole", "pictures", "configuration", "network", "options", "data", "evaluation", "training",
                      "inference"},
    "distilling":    {"pictures", "configuration", "network", "options", "data", "training", "inference",
                      "adapting"},
    "learning":      {"noise", "hole", "pictures", "network", "options", "data", "evaluation", "training", "inference",
                      "adapting", "reports"},
}  # fmt: skip
ANYTHING = {"__init__", "commands"}  # the package's door, and what the command line calls


def imported_modules(path: Path) -> Iterator[str]:
    """Yields the dotted name of every module of this program that a file imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part_of(path: Path) -> str:
    return path.relative_to(DENOISING).parts[0].removesuffix(".py")


def test_the_table_is_of_one_direction_and_complete():
    names = list(MAY_IMPORT)
    for i, name in enumerate(names):
        assert MAY_IMPORT[name] <= set(names[:i]), name
    assert {part_of(path) for path in DENOISING.rglob("*.py")} == set(names) | ANYTHING


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_what_it_may(part):
    for path in (p for p in DENOISING.rglob("*.py") if part_of(p) == part):
        used = {name.split(".")[2] for name in imported_modules(path) if name.startswith("dnnlib.denoising.")}
        assert used - {part} <= MAY_IMPORT[part], path


@pytest.mark.parametrize("package", ["tflib", "submission"])
def test_the_tools_below_know_nothing_of_denoising(package):
    for path in (PROGRAM / "dnnlib" / package).rglob("*.py"):
        assert not [name for name in imported_modules(path) if name.startswith(("dnnlib.denoising", "config"))], path


def test_tables_are_passed_down():
    """Only what Python's users call, without a script, looks for a table itself."""
    files = (path for path in DENOISING.rglob("*.py") if any(n.startswith("config.") for n in imported_modules(path)))
    assert list(files) == [DENOISING / "inference" / "denoiser.py"]


def test_configurations_are_data():
    for path in (PROGRAM / "config").glob("*.py"):
        assert not [name for name in imported_modules(path) if name.startswith("dnnlib")], path


@pytest.mark.parametrize("package", [path.parent for path in sorted(DENOISING.rglob("__init__.py"))], ids=lambda p: p.name)
def test_each_package_says_what_it_is_for(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))
    assert docstring and 1 <= docstring.count(".") <= 6
