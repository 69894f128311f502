"""Templates: the package's, and what is wrong with others, by file and line."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.review.templates import load_templates, own_templates, published
from tests.conftest import SHARED

OWN = Path(str(files("app.review"))) / "prompts"


def test_the_published_one_is_verbatim() -> None:
    verbatim = SHARED / "prompts"
    if not verbatim.is_dir():
        pytest.skip("the published prompts are not beside this checkout")
    for name, text in (("system.txt", published().system), ("user.txt", published().user)):
        assert text == Path(verbatim / name).read_text(encoding="utf-8")


def test_the_venues_are_there() -> None:
    assert set(own_templates()) == {"default", "iclr", "icml", "neurips", "acl"}


@pytest.mark.parametrize("name", own_templates())
def test_each_asks_for_its_sections(name: str) -> None:
    template = own_templates()[name]
    assert template.name == name
    assert math.isclose(sum(spec.share for spec in template.sections), 1)
    assert all(f"## {spec.heading}\n" in template.user for spec in template.sections)
    assert {"summary", "strengths", "weaknesses"} <= {spec.field for spec in template.sections}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with one template, "mine", a copy of the published one."""
    shutil.copytree(OWN / "default", tmp_path / "mine")
    return tmp_path


def test_ones_own_stand_beside_them(mine: Path) -> None:
    (mine / ".git").mkdir()
    (mine / "notes.txt").write_text("no folder, no template")
    loaded = load_templates(mine)
    assert set(loaded) == {*own_templates(), "mine"}
    assert loaded["mine"].user == published().user


Edit = Callable[[str], str]


@pytest.mark.parametrize(
    ("file", "edit", "told"),
    [
        ("user.txt", lambda t: t.replace("{body}", ""), "user.txt line 22: {body} is missing"),
        ("user.txt", lambda t: t.replace("{title}", "{titel}"), "line 19: unknown placeholder"),
        ("user.txt", lambda t: t + "{body}\n", "user.txt line 23: {body} occurs twice"),
        ("user.txt", lambda t: t.replace("for REJECTION.", ""), "paper for REJECTION.'"),
        ("user.txt", lambda t: t.replace("ACCEPTANCE.", "acceptance."), "for ACCEPTANCE.'"),
        ("user.txt", lambda t: t.replace("## Final R", "## R"), "'## Final Recommendation'"),
        ("user.txt", lambda t: t.replace("## Clarity and", "## Clear"), "'## Clarity and Writing'"),
        (
            "user.txt",
            lambda t: (
                t.replace("## Summary", "## S").replace("## Significance", "## Summary")
                + "## Significance\n"
            ),
            "headings are not in the order",
        ),
        (
            "user.txt",
            lambda t: "I recommend this paper for REJECTION.\n" + t,
            "user.txt line 1: the verdict is above",
        ),
        ("user.txt", lambda _: "", "user.txt line 1: {title} is missing"),
        ("sections.toml", lambda t: t.replace("share = 24", "share = 0"), "sections.toml line 19"),
        ("sections.toml", lambda t: t.replace("share = 24", "share = nan"), "line 19: share"),
        ("sections.toml", lambda t: t.replace("share = 24", 'share = "x"'), "line 19: share"),
        ("sections.toml", lambda t: t.replace("share = 24", "part = 24"), "line 19: share"),
        ("sections.toml", lambda t: t.replace("share = 24", "share ="), "(at line 22,"),
        ("sections.toml", lambda t: t.replace("list = true", "list = 2"), "line 13: list"),
        ("sections.toml", lambda t: t.replace("list = true", ""), "'strengths' must be a list"),
        ("sections.toml", lambda t: t.replace('"clarity"', '"summary"'), "occurs twice"),
        ("sections.toml", lambda t: t.replace('"clarity"', '"verdict"'), "is reserved"),
        ("sections.toml", lambda t: t.replace('"clarity"', '"Clear!"'), "field: String should"),
        ("sections.toml", lambda t: t.replace('"Summary"', '"# Sum"'), "line 8: heading"),
        ("sections.toml", lambda _: "", "sections.toml line 1: section: Field required"),
        ("sections.toml", lambda _: "section = 3", "sections.toml line 1: section"),
    ],
)
def test_one_that_breaks_the_contract_is_named(
    mine: Path, file: str, edit: Edit, told: str
) -> None:
    path = mine / "mine" / file
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_templates(mine)
    assert refused.value.message.startswith(f"template 'mine', {file}")
    assert told in refused.value.message
    assert refused.value.param == "templates_dir"


def test_files_that_can_not_be_read(mine: Path) -> None:
    (mine / "mine" / "user.txt").write_bytes(b"One\nTwo \xff\n")
    with pytest.raises(ConfigurationError, match=r"user\.txt line 2: it is not UTF-8"):
        load_templates(mine)
    (mine / "mine" / "user.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"user\.txt: No such file"):
        load_templates(mine)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        load_templates(mine / "elsewhere")


@pytest.mark.parametrize("name", ["default", "iclr"])
def test_names_of_the_package_are_taken(mine: Path, name: str) -> None:
    (mine / "mine").rename(mine / name)
    with pytest.raises(ConfigurationError, match=f"'{name}': a template of this name"):
        load_templates(mine)


@pytest.mark.parametrize("name", ["My Venue", "x" * 41, "émile"])
def test_names_that_are_none(mine: Path, name: str) -> None:
    (mine / "mine").rename(mine / name)
    with pytest.raises(ConfigurationError, match="a name may have up to 40"):
        load_templates(mine)
