"""The project keeps its own rules: one version, declared and pinned dependencies, short files, no code from data."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import spikeloc

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "spikeloc"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAX_LINES = 400

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))


# Version


def test_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert cited is not None
    assert PROJECT["version"] == spikeloc.__version__ == metadata.version("spikeloc") == cited[1]


# Dependencies


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of all that a module imports, inside functions too; ``from a import b`` may give a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def requirements(*extras: str) -> list[Requirement]:
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [found for found in map(Requirement, lines) if found.name != PROJECT["name"]]


def test_every_imported_library_is_declared_and_every_declared_one_imported() -> None:
    imported = {name.split(".")[0] for path in SOURCES for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
    libraries = imported - sys.stdlib_module_names - {"spikeloc"}
    distributions = metadata.packages_distributions()
    assert {canonicalize_name(distributions[library][0]) for library in libraries} == {
        canonicalize_name(requirement.name) for requirement in requirements()
    }


def test_every_dependency_is_pinned_to_a_version_in_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    for requirement in requirements("notebook", "dev"):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not in constraints.txt; run `make constraints`"
        assert requirement.specifier.contains(pinned[name]), f"{requirement} excludes the pinned {pinned[name]}"
        assert "+" not in pinned[name], f"{name} is pinned to a build that only one source offers"


def test_wheel_carries_every_file_of_the_package(tmp_path: Path) -> None:
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("spikeloc/")}
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in there}


# Source


def test_sources_are_found() -> None:
    assert PACKAGE / "__init__.py" in SOURCES


@each_source
def test_file_is_short(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MAX_LINES, f"{path.name} has {n_lines} lines; split it by what its parts are about"


# Whole modules that run code found in data, or that reach the network.
EXECUTING = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
NETWORK = {"aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "socket", "urllib.request", "urllib3"}
# Calls that unpickle what they read.
UNPICKLING = {"torch.load", "torch.jit.load", "pandas.read_pickle", "torch.hub.load"}


def unsafe(source: str) -> list[str]:
    """What in a source could run code found in data, or reach the network."""
    tree = ast.parse(source)
    names = list(imports(tree))
    banned = EXECUTING | NETWORK
    found = [name for name in names if any(name == ban or name.startswith(f"{ban}.") for ban in banned)]
    found += [name for name in names if name in UNPICKLING]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in UNPICKLING:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            found.append("allow_pickle")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"eval", "exec", "__import__"}:
            found.append(ast.unparse(node.func))
    return found


@each_source
def test_source_runs_no_data_and_reaches_no_network(path: Path) -> None:
    assert unsafe(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "def f():\n    import socket",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "import requests",
        "from http import client",
        "import torch\nweights = torch.load(path)",
        "from torch import load",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "eval(text)",
    ],
)
def test_unsafe_source_is_recognised(source: str) -> None:
    assert unsafe(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "from urllib.parse import quote",
        "np.load(path, allow_pickle=False)",
        "from safetensors.torch import load",
        "model.eval()",
    ],
)
def test_safe_source_is_not_suspected(source: str) -> None:
    assert unsafe(source) == []
