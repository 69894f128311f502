"""Who may import whom (DESIGN: main -> routes -> review.service -> paper, review, engine)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "app").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))
STAGES = ("collect", "teach", "filter", "sft", "merge", "benchmark", "calibrate", "card")
"""Commands of training/, which meet only through files."""

# A file's room, by the longest prefix of its module, and the rooms it may import from.
ALLOWED = {
    "app": {"app"},
    "app.errors": set(),
    "app.failures": {"app.errors"},
    "app.disconnect": set(),
    "app.waiting": set(),
    "app.tasks": {"app.errors", "app.waiting"},
    "app.auth": {"app.errors", "app.settings"},
    "app.cli.keys": {"app.auth", "app.errors"},
    "app.middleware": {
        "app.middleware",
        "app.auth",
        "app.errors",
        "app.limits",
        "app.observability.metrics",
        "app.places",
        "app.settings",
    },
    "app.places": {"app.errors", "app.observability.metrics", "app.settings"},
    "app.limits": {"app.errors", "app.settings"},
    "app.connection": {"app.settings"},
    "app.server": {
        "app.connection",
        "app.engine.supervisor",
        "app.errors",
        "app.settings",
    },
    "app.observability": {"app.observability", "app.errors"},
    "app.observability.watch": {
        "app.observability",
        "app.errors",
        "app.review.service",
        "app.schemas",
    },
    "app.schemas": {"app.schemas", "app.paper.model"},
    "app.cli.console": {"app.paper.model", "app.schemas", "app.errors"},
    "app.resources": {"app.schemas", "app.paper.model", "app.engine.base"},
    "app.settings": {"app.errors"},
    "app.store": {
        "app.store",
        "app.errors",
        "app.failures",
        "app.settings",
        "app.tasks",
        "app.waiting",
    },
    "app.jobs": {
        "app",
        "app.jobs",
        "app.store",
        "app.review.service",
        "app.review.resource",
        "app.review.sectioning",
        "app.engine.supervisor",
        "app.paper.model",
        "app.paper.sources",
        "app.errors",
        "app.failures",
        "app.observability",
        "app.places",
        "app.schemas",
        "app.settings",
        "app.tasks",
        "app.waiting",
    },
    "app.engine.base": set(),
    "app.engine": {
        "app.engine",
        "app.errors",
        "app.failures",
        "app.observability.logs",
        "app.settings",
        "app.disconnect",
        "app.tasks",
    },
    "app.paper": {"app.paper", "app.errors", "app.settings"},
    "app.review": {
        "app.review",
        "app.paper",
        "app.engine.base",
        "app.engine.supervisor",
        "app.errors",
        "app.resources",
        "app.schemas",
        "app.settings",
    },
    "app.routes": {
        "app",
        "app.routes",
        "app.jobs",
        "app.store.records",
        "app.store.states",
        "app.store.storage",
        "app.store.tables",
        "app.auth",
        "app.review.service",
        "app.engine.base",
        "app.engine.supervisor",
        "app.paper",
        "app.errors",
        "app.disconnect",
        "app.limits",
        "app.observability",
        "app.resources",
        "app.schemas",
        "app.tasks",
    },
    "app.client": {
        "app.client",
        "app.errors",
        "app.failures",
        "app.paper.sources",
        "app.schemas",
        "app.settings",
    },
    "app.client.own_service": {
        "app.client.api",
        "app.errors",
        "app.main",
        "app.server",
        "app.settings",
    },
    "app.main": {"app"},
    "app.cli": {
        "app.cli",
        "app.auth",
        "app.client",
        "app.engine",
        "app.errors",
        "app.main",
        "app.observability.logs",
        "app.paper",
        "app.resources",
        "app.schemas",
        "app.server",
        "app.settings",
        "app.store.storage",
    },
}
OPEN = {"app.main"}
"""It puts the application together, of everything that there is."""


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def room_of(module: str) -> str:
    return max((room for room in ALLOWED if f"{module}.".startswith(f"{room}.")), key=len)


def may_import(importer: str, imported: str) -> bool:
    allowed = ALLOWED[room_of(importer)]
    if importer in OPEN or imported.split(".")[0] != "app":
        return True
    return (
        any(f"{imported}.".startswith(f"{room}.") for room in allowed if room != "app")
        or imported == "app.__version__"
    )


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_run_one_way(file: Path) -> None:
    module = module_of(file)
    wrong = [name for name in imports_of(file) if not may_import(module, name)]
    assert not wrong


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_heavy_and_web_libraries_stay_in_their_rooms(file: Path) -> None:
    module, roots = module_of(file), {name.split(".")[0] for name in imports_of(file)}
    if module != "app.engine.vllm":
        assert "vllm" not in roots
    if module.startswith(("app.paper", "app.review", "app.store", "app.jobs")):
        assert not roots & {"fastapi", "starlette", "torch", "transformers"}
    assert "training" not in roots


@pytest.mark.parametrize("file", TRAINING, ids=module_of)
def test_stages_of_training_import_no_other_stage(file: Path) -> None:
    module = module_of(file)
    others = [f"training.{stage}." for stage in STAGES if module != f"training.{stage}"]
    wrong = [name for name in imports_of(file) if f"{name}.".startswith(tuple(others))]
    assert not wrong


@pytest.mark.parametrize("file", TRAINING, ids=module_of)
def test_training_knows_nothing_of_the_web(file: Path) -> None:
    rooms = ("app.main", "app.routes", "app.store", "app.web", "app.cli", "app.client")
    assert not [name for name in imports_of(file) if name.startswith(rooms)]


def test_a_stage_imports_what_is_heavy_only_when_it_runs() -> None:
    there = [stage for stage in STAGES if (ROOT / "training" / f"{stage}.py").exists()]
    imports = ", ".join(f"training.{stage}" for stage in there)
    heavy = "{'vllm', 'torch', 'trl', 'peft', 'google.genai', 'openreview'}"
    code = f"import sys, {imports}; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_application_imports_neither_vllm_nor_torch() -> None:
    code = (
        "import sys, app.main, app.cli; print({'vllm', 'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
