"""Who may import whom: main -> api.routes -> jobs -> resources -> review -> paper, engine."""

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
STAGES = ("collect", "teach", "filter", "sft", "merge", "benchmark", "calibrate", "card", "upload")
"""Commands of training/, which meet only through files."""

# A file's room, by the longest prefix of its module, and the rooms it may import from.
ALLOWED = {
    "app": {"app"},
    "app.errors": set(),
    "app.failures": {"app.errors"},
    "app.async_utils": set(),
    "app.redaction": set(),
    "app.settings": {"app.errors"},
    "app.tasks": {"app.errors", "app.async_utils"},
    "app.observability": {"app.observability", "app.errors", "app.redaction"},
    "app.observability.instrument": {
        "app.observability",
        "app.errors",
        "app.review.report",
        "app.review.service",
    },
    "app.paper": {"app.paper", "app.errors", "app.settings"},
    "app.paper.pdf": {
        "app.paper.pdf",
        "app.errors",
        "app.paper.clean",
        "app.paper.hidden",
        "app.paper.model",
        "app.paper.screening",
        "app.paper.section_names",
    },
    "app.paper.hidden": {"app.paper.hidden", "app.paper.model", "app.paper.pdf.lines"},
    "app.paper.latex": {
        "app.paper.latex",
        "app.errors",
        "app.paper.clean",
        "app.paper.model",
        "app.paper.section_names",
    },
    "app.paper.screening": {"app.paper.screening", "app.paper.model", "app.paper.sentences"},
    "app.engine.base": set(),
    "app.engine": {
        "app.engine",
        "app.async_utils",
        "app.errors",
        "app.failures",
        "app.observability.logs",
        "app.redaction",
        "app.settings",
        "app.tasks",
    },
    "app.review": {
        "app.review",
        "app.api.schemas.requests",
        "app.engine.base",
        "app.engine.supervisor",
        "app.errors",
        "app.paper",
        "app.settings",
    },
    "app.resources": {
        "app.resources",
        "app.api.schemas",
        "app.engine.base",
        "app.paper.model",
        "app.review",
    },
    "app.store": {
        "app.store",
        "app.async_utils",
        "app.errors",
        "app.failures",
        "app.settings",
        "app.tasks",
    },
    "app.jobs": {
        "app",
        "app.jobs",
        "app.api.schemas",
        "app.async_utils",
        "app.engine.supervisor",
        "app.errors",
        "app.failures",
        "app.observability",
        "app.paper.model",
        "app.paper.pdf.drawing",
        "app.paper.pdf.extract",
        "app.paper.reader",
        "app.paper.sources",
        "app.resources",
        "app.review.report",
        "app.review.sectioning",
        "app.review.template",
        "app.review.service",
        "app.settings",
        "app.store",
        "app.tasks",
    },
    "app.jobs.concurrency": {"app.errors", "app.observability.metrics", "app.settings"},
    "app.api.schemas": {"app.api.schemas", "app.paper.model"},
    "app.api.auth": {"app.errors", "app.settings"},
    "app.api.body_limits": {"app.errors", "app.settings"},
    "app.api.http_protocol": {"app.settings"},
    "app.api.server": {
        "app.api.http_protocol",
        "app.engine.supervisor",
        "app.errors",
        "app.settings",
    },
    "app.api.middleware": {
        "app.api.middleware",
        "app.api.auth",
        "app.api.body_limits",
        "app.errors",
        "app.jobs.concurrency",
        "app.observability.metrics",
        "app.settings",
    },
    "app.api.routes": {
        "app",
        "app.api.routes",
        "app.api.auth",
        "app.api.body_limits",
        "app.api.schemas",
        "app.async_utils",
        "app.engine.base",
        "app.engine.supervisor",
        "app.errors",
        "app.jobs",
        "app.observability",
        "app.paper",
        "app.resources",
        "app.review.plan",
        "app.review.service",
        "app.review.template",
        "app.store.records",
        "app.store.states",
        "app.store.storage",
        "app.store.tables",
        "app.tasks",
    },
    "app.main": {"app"},
    "app.cli": {
        "app.cli",
        "app.api.auth",
        "app.api.schemas",
        "app.api.server",
        "app.engine",
        "app.errors",
        "app.main",
        "app.observability.logs",
        "app.paper",
        "app.resources",
        "app.settings",
        "app.store.storage",
    },
    "app.cli.console": {"app.api.schemas", "app.errors", "app.paper.model"},
    "app.cli.client": {
        "app.cli.client",
        "app.api.schemas",
        "app.async_utils",
        "app.errors",
        "app.failures",
        "app.paper.sources",
        "app.redaction",
        "app.settings",
    },
    "app.cli.client.own_service": {
        "app.api.server",
        "app.cli.client.api",
        "app.engine.supervisor",
        "app.errors",
        "app.main",
        "app.settings",
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
    rooms = ("app.main", "app.api.routes", "app.store", "app.web", "app.cli")
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
