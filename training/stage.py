"""The framework of all stages: command line, output folder, manifest, and resuming after a kill.

A stage writes to ``<run.output>/<stage>/``: its data first, ``manifest.json`` last. With a manifest
from the same recipe sections and inputs, there is nothing to do. Without one, ``begun.json`` shows
whether an interrupted run in the folder can be resumed.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from filelock import FileLock, Timeout
from pydantic import ValidationError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from app.errors import ReviewerError
from training.errors import InputInvalid, OutputInTheWay, RecipeError, TrainingError
from training.manifest import (
    FILE,
    Fingerprint,
    Manifest,
    commit,
    described,
    read_manifest,
    sha256_of,
    versions,
    write_atomically,
)
from training.memory import needs
from training.recipe import Recipe
from training.recipe_file import load_recipe, recipe_sha256

Name = Literal[
    "collect", "teach", "filter", "sft", "merge", "benchmark", "calibrate", "card", "upload"
]
Item = TypeVar("Item")
_BEGUN = "begun.json"


@dataclass(frozen=True)
class Stage:
    """A stage. ``main`` writes the outputs and returns counts for the manifest.

    ``sections`` are the parts of the recipe that the output depends on (besides the seed): a
    section, or a key such as ``sft.max_length``. ``inputs`` are all files and folders that are
    read; a stage whose folder contains one must have finished. ``keeps`` are files in the output
    folder that ``--again`` does not delete.
    """

    name: Name
    sections: Sequence[str]
    inputs: Callable[[Recipe], Sequence[Path]]
    outputs: Callable[[Recipe], Sequence[str]]
    main: Callable[[Job], Mapping[str, Any]]
    keeps: Sequence[str] = ()
    analysis: Sequence[str] = ()
    """Keys of the recipe, for example ``benchmark.label``, that may change without ``--again``:
    ``main`` then runs again and can use the files of ``keeps``."""


@dataclass
class Job:
    """One run of a stage; the argument of its ``main``.

    With ``resumed``, ``folder`` contains what an interrupted run of the same recipe and inputs has
    written.
    """

    recipe: Recipe
    folder: Path
    resumed: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def seed(self) -> int:
        return self.recipe.run.seed

    def say(self, message: str) -> None:
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def show_counts(self, title: str, counts: Mapping[str, object]) -> None:
        table = Table("what", "how many", title=title)
        for name, count in counts.items():
            table.add_row(name, str(count))
        self.console.print(table)

    def track(
        self, items: Iterable[Item], description: str, total: int | None = None
    ) -> Iterator[Item]:
        """Iterate over the items with a progress bar."""
        if total is None and isinstance(items, Sequence):
            total = len(items)
        with self.progress(description, total) as advance:
            for item in items:
                yield item
                advance()

    @contextmanager
    def progress(
        self, description: str, total: int | None, done: int = 0
    ) -> Iterator[Callable[..., None]]:
        """A progress bar, moved by the function that is yielded: ``advance(by=1, note="")``."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task(description, total=total, completed=done, note="")

            def advance(by: int = 1, note: str | None = None) -> None:
                bar.advance(task, by)
                if note is not None:
                    bar.update(task, note=note)

            yield advance


def run_stage(stage: Stage, recipe_file: Path, *, again: bool = False) -> Manifest:
    """Run a stage, or resume an interrupted run, unless it is already done; return its manifest.

    Raises:
        TrainingError: the stage can't run, or it failed.
    """
    recipe = load_recipe(recipe_file)
    folder = recipe.folder(stage.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputInTheWay(f"can't make the folder {folder}: {error.strerror}") from error
    try:
        with FileLock(folder / ".lock", timeout=0):
            return _run_locked(stage, recipe, recipe_file, Job(recipe, folder), again)
    except Timeout as error:
        raise OutputInTheWay(f"another training.{stage.name} is running in {folder}") from error


def _run_locked(stage: Stage, recipe: Recipe, recipe_file: Path, job: Job, again: bool) -> Manifest:
    made_from = _fingerprint(stage, recipe)
    if not again:
        done = _finished(stage, job.folder, made_from)
        if done:
            job.say(f"{stage.name}: up to date in {job.folder}")
            return done
    job.resumed = _begin(stage, job.folder, made_from, again)
    job.say(f"{stage.name}: {'resuming' if job.resumed else 'starting'} in {job.folder}")
    need = needs(stage.name, recipe)
    if need:
        job.say(f"{stage.name}: memory: {need}")
    started = time.perf_counter()
    counts = stage.main(job)
    outputs = {name: described(job.folder / name) for name in stage.outputs(recipe)}
    manifest = Manifest(
        stage=stage.name,
        run=recipe.run.name,
        recipe_sha256=recipe_sha256(recipe_file),
        made_from=made_from,
        outputs=outputs,
        counts=dict(counts),
        commit=commit(),
        versions=versions(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 1),
        resumed=job.resumed,
    )
    write_atomically(job.folder / FILE, manifest.model_dump_json(indent=2) + "\n")
    (job.folder / _BEGUN).unlink()
    job.say(f"{stage.name}: done in {manifest.seconds:.0f} s")
    return manifest


def _fingerprint(stage: Stage, recipe: Recipe) -> Fingerprint:
    dumped = recipe.model_dump(mode="json")
    sections = {name: _picked(dumped, name) for name in stage.sections}
    inputs = {}
    for path in stage.inputs(recipe):
        _check_made(recipe, path)
        inputs[str(path)] = sha256_of(path)
        _check_unchanged(recipe, path, inputs[str(path)])
    return Fingerprint(recipe={"seed": recipe.run.seed, **sections}, inputs=inputs)


def _picked(dumped: Mapping[str, Any], name: str) -> Any:
    section, _, key = name.partition(".")
    value = dumped[section]
    return value[key] if key and value is not None else value


def _check_made(recipe: Recipe, path: Path) -> None:
    if path.is_relative_to(recipe.run.output):
        made_by = path.relative_to(recipe.run.output).parts[0]
        read_manifest(recipe.folder(made_by), made_by)


def _check_unchanged(recipe: Recipe, path: Path, sha256: str) -> None:
    """Check that an output of another stage has not been changed since.

    Raises:
        InputInvalid: it has.
    """
    if not path.is_relative_to(recipe.run.output):
        return
    made_by = path.relative_to(recipe.run.output).parts[0]
    name = str(path.relative_to(recipe.folder(made_by)))
    written = read_manifest(recipe.folder(made_by), made_by).outputs.get(name)
    if written is None or written.sha256 == sha256:
        return
    again = f"run python -m training.{made_by} --again"
    if written.lines is not None:
        with path.open("rb") as file:
            lines = file.readlines()
        if lines and not lines[-1].endswith(b"\n"):
            raise InputInvalid(
                f"{path}, line {len(lines)}: the line is truncated; {made_by} wrote "
                f"{written.lines} lines: {again}"
            )
        if len(lines) < written.lines:
            raise InputInvalid(f"{path} has only {len(lines)} of {written.lines} lines: {again}")
    raise InputInvalid(f"{path} was changed after {made_by} wrote it: {again}")


def _finished(stage: Stage, folder: Path, made_from: Fingerprint) -> Manifest | None:
    """The manifest of an earlier run with the same fingerprint, if its outputs still exist."""
    if not (folder / FILE).exists():
        return None
    manifest = read_manifest(folder, stage.name)
    changed = _check_same(stage, folder, made_from, manifest.made_from)
    whole = all((folder / name).exists() for name in manifest.outputs)
    return manifest if whole and not changed else None


def _begin(stage: Stage, folder: Path, made_from: Fingerprint, again: bool) -> bool:
    """Prepare the output folder; return whether it has an interrupted run to resume."""
    begun = folder / _BEGUN
    if again:
        _clear(folder, keeps=stage.keeps)
    elif begun.exists():
        try:
            before = Fingerprint.model_validate_json(begun.read_bytes())
        except ValidationError as error:
            raise OutputInTheWay(f"{begun} is damaged: start over with --again") from error
        if not _check_same(stage, folder, made_from, before):
            return True
    (folder / FILE).unlink(missing_ok=True)
    write_atomically(begun, made_from.model_dump_json(indent=2) + "\n")
    return False


def _check_same(stage: Stage, folder: Path, now: Fingerprint, before: Fingerprint) -> bool:
    """Whether the fingerprints differ, in keys of ``analysis`` only.

    Raises:
        OutputInTheWay: they differ in other keys or in inputs.
    """
    differing = now.differences(before)
    others = [
        name
        for name in differing
        if not any(name == key or name.startswith(f"{key}.") for key in stage.analysis)
    ]
    if others:
        kept = f" ({', '.join(stage.keeps)} is kept)" if stage.keeps else ""
        raise OutputInTheWay(
            f"{folder} is from another recipe or other inputs ({', '.join(others)}): use another "
            f"output folder for the run, or redo this stage with --again{kept}"
        )
    return bool(differing)


def _clear(folder: Path, keeps: Sequence[str]) -> None:
    for entry in folder.iterdir():
        if entry.name in keeps or entry.name == ".lock":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def command(stage: Stage) -> None:
    """The command line of a stage."""

    def run(
        recipe: Annotated[Path, typer.Option(help="The run's YAML file.")],
        again: Annotated[
            bool, typer.Option("--again", help="Redo the stage even if it has output.")
        ] = False,
    ) -> None:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        try:
            run_stage(stage, recipe, again=again)
        except (TrainingError, ReviewerError) as error:
            Console(stderr=True).print(
                f"error: {error}", style="red", highlight=False, markup=False, soft_wrap=True
            )
            raise typer.Exit(1) from error

    run.__doc__ = sys.modules[stage.main.__module__].__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    app()


def stage_file(recipe: Recipe, stage: Name, name: str) -> Path:
    """An output of another stage."""
    return recipe.folder(stage) / name


def section_of(recipe: Recipe, name: str) -> Any:
    """An optional section of the recipe that this stage needs.

    Raises:
        RecipeError: the recipe does not have it.
    """
    section = getattr(recipe, name)
    if section is None:
        raise RecipeError(f"the recipe has no section {name!r}")
    return section


def required(rows: Sequence[Item], path: Path, what: str) -> Sequence[Item]:
    """The rows.

    Raises:
        InputInvalid: there are none.
    """
    if not rows:
        raise InputInvalid(f"{path} has no {what}")
    return rows
