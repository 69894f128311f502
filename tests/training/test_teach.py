"""Teacher reviews over real HTTP, in both protocols, with all that goes wrong there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.peerread import BODY
from tests.training.recipes import recipe_file
from tests.training.teacher_stub import Fault, FaultyTeacher, google_credentials, teaching
from training.errors import InputInvalid, InputMissing, RecipeError, TeacherFailed
from training.jsonl import read_rows, write_rows
from training.manifest import Manifest
from training.rows import PaperRow, Rejected, SectionRow, TaughtRow
from training.stage import Stage, run_stage
from training.stub_teacher import THOUGHT
from training.teach import STAGE

PAPERS = 6


def paper(name: str, text: str = BODY) -> PaperRow:
    return PaperRow(
        id=f"peerread/iclr_2017/{name}",
        source="peerread",
        venue="iclr_2017",
        split="train",
        title=f"On {name}",
        abstract="We do.",
        sections=(SectionRow(heading="1 Introduction", text=text),),
        decision="accept",
        decision_source="made up",
        ratings=(),
        rating_scale=(1, 10),
    )


def collect(folder: Path, papers: list[PaperRow]) -> None:
    """What the collect stage would leave."""

    def main(job: Any) -> dict[str, int]:
        return {"papers": write_rows(job.folder / "papers.jsonl", papers)}

    stage = Stage("collect", ["collect"], lambda _: [], lambda _: ["papers.jsonl"], main)
    run_stage(stage, recipe_file(folder))


@pytest.fixture(autouse=True)
def _collected(tmp_path: Path) -> None:
    collect(tmp_path, [paper(str(number)) for number in range(PAPERS)])


@pytest.fixture(params=["openai", "google"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def teach(tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the stage against a teacher, in the protocol."""

    def run(teacher: FaultyTeacher, **options: Any) -> Manifest:
        return run_stage(STAGE, recipe(tmp_path, protocol, teacher, monkeypatch, **options))

    return run


def recipe(
    folder: Path,
    protocol: str,
    teacher: FaultyTeacher,
    monkeypatch: pytest.MonkeyPatch,
    **options: Any,
) -> Path:
    key_file = folder / "key.json"
    key_file.write_text(google_credentials(f"{teacher.url}/token"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    monkeypatch.setenv("OPENAI_API_KEY", "stub")
    section = {
        "provider": protocol,
        "model": "gemini-stub",
        "base_url": f"{teacher.url}/v1" if protocol == "openai" else teacher.url,
        "first_delay_s": 0.01,
        "longest_delay_s": 0.05,
        "concurrency": 3,
        **({"project": "stub", "location": "europe-west1"} if protocol == "google" else {}),
        **options,
    }
    filtered = {"targets": "teacher", "val_fraction": 0.25}
    return recipe_file(folder, teach=section, filter=filtered)


def reviews(folder: Path) -> list[TaughtRow]:
    return list(read_rows(folder / "out" / "teach" / "reviews.jsonl", TaughtRow))


def test_every_paper_gets_one_review_without_its_thinking(tmp_path: Path, teach: Any) -> None:
    with teaching(FaultyTeacher()) as teacher:
        manifest = teach(teacher)
    rows = reviews(tmp_path)
    assert [row.paper for row in rows] == [f"peerread/iclr_2017/{n}" for n in range(PAPERS)]
    for number, row in enumerate(rows):
        assert f"On {number}." in row.text
        assert row.text.startswith("## Summary")
        assert THOUGHT not in row.text
        assert row.finish_reason == "stop"
        assert min(row.prompt_tokens, row.completion_tokens, row.thinking_tokens) > 0
    assert THOUGHT not in (tmp_path / "out" / "teach" / "cache.jsonl").read_text()
    assert manifest.counts["thinking tokens"] == sum(row.thinking_tokens for row in rows)
    assert 1 < teacher.most_at_once <= 3
    assert len(teacher.requests) == PAPERS


def test_both_protocols_give_the_same_reviews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for protocol in ("openai", "google"):
        folder = tmp_path / protocol
        folder.mkdir()
        collect(folder, [paper(str(number)) for number in range(PAPERS)])
        with teaching(FaultyTeacher()) as teacher:
            run_stage(STAGE, recipe(folder, protocol, teacher, monkeypatch))
        found.append([(r.text, r.completion_tokens, r.thinking_tokens) for r in reviews(folder)])
    assert found[0] == found[1]


@pytest.mark.parametrize("fault", [429, 500, 503, 408, "cut"])
def test_what_passes_is_tried_again(teach: Any, fault: Fault) -> None:
    def faults(number: int, _: str) -> Fault:
        return fault if number in (2, 3, 5) else None

    with teaching(FaultyTeacher(faults)) as teacher:
        manifest = teach(teacher)
    assert manifest.counts["answered"] == PAPERS
    assert len(teacher.requests) == PAPERS + 3
    assert len(teacher.answered) == PAPERS


def test_a_server_that_says_when_to_come_back_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with teaching(FaultyTeacher(lambda n, _: 429 if n == 1 else None, retry_after_s=2)) as teacher:
        options = {"most": 1, "longest_delay_s": 5}
        path = recipe(tmp_path, "openai", teacher, monkeypatch, **options)
        started = time.monotonic()
        run_stage(STAGE, path)
    assert time.monotonic() - started > 2
    assert len(teacher.requests) == 2


def test_a_teacher_that_stays_away_is_told_and_nothing_is_paid_twice(
    tmp_path: Path, teach: Any
) -> None:
    def faults(_: int, body: str) -> Fault:
        return 503 if "On 4" in body else None

    with teaching(FaultyTeacher(faults)) as teacher:
        with pytest.raises(TeacherFailed, match=r"iclr_2017/4 in 2 attempts \(503: .*to continue"):
            teach(teacher, attempts=2)
        assert not (tmp_path / "out" / "teach" / "reviews.jsonl").exists()
        before = len(teacher.answered)
        assert before >= 3
        teacher.faults = lambda _n, _body: None
        manifest = teach(teacher, attempts=2)
    assert manifest.resumed
    assert len(teacher.answered) == len(set(teacher.answered)) == PAPERS
    assert len(reviews(tmp_path)) == PAPERS


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_teacher_that_refuses_the_key_or_the_model_ends_the_stage_at_once(
    teach: Any, status: int
) -> None:
    with (
        teaching(FaultyTeacher(lambda _n, _body: status)) as teacher,
        pytest.raises(TeacherFailed, match=rf"refuses every request \({status}\)"),
    ):
        teach(teacher, concurrency=1)
    assert len(teacher.requests) == 1


def test_a_refused_prompt_costs_its_own_review_only(tmp_path: Path, teach: Any) -> None:
    with teaching(FaultyTeacher(lambda _n, body: 400 if "On 2" in body else None)) as teacher:
        manifest = teach(teacher)
    assert manifest.counts["answered"] == PAPERS - 1
    (left_out,) = read_rows(tmp_path / "out" / "teach" / "rejected.jsonl", Rejected)
    assert (left_out.paper, left_out.reason) == ("peerread/iclr_2017/2", "request_refused")
    assert "stub says 400" in left_out.detail


def test_refusing_all_prompts_ends_the_stage(teach: Any) -> None:
    with (
        teaching(FaultyTeacher(lambda _n, _body: 400)) as teacher,
        pytest.raises(TeacherFailed, match="refused 5 prompts in a row"),
    ):
        teach(teacher, concurrency=1)
    assert len(teacher.requests) == 5


def refusal(protocol: str) -> dict[str, Any]:
    """An answer that is none, as the protocol gives it."""
    if protocol == "google":
        usage = {"promptTokenCount": 9}
        return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}
    message = {"role": "assistant", "content": None, "refusal": "I can't."}
    return {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def test_a_teacher_that_declines_is_kept_as_an_answer_without_text(
    tmp_path: Path, teach: Any, protocol: str
) -> None:
    teacher = FaultyTeacher(replies=lambda body: refusal(protocol) if "On 1" in body else None)
    with teaching(teacher):
        teach(teacher)
    declined = reviews(tmp_path)[1]
    assert (declined.text, declined.prompt_tokens) == ("", 9)
    assert declined.finish_reason == ("safety" if protocol == "google" else "refusal")


def test_what_thinking_costs_is_asked_for_by_budget_or_by_level(teach: Any, protocol: str) -> None:
    with teaching(FaultyTeacher()) as teacher:
        teach(teacher, thinking_level="low", most=1)
    sent = json.loads(teacher.requests[0])
    if protocol == "openai":
        assert sent["reasoning_effort"] == "low"
        assert [turn["role"] for turn in sent["messages"]] == ["system", "user"]
        return
    assert sent["generationConfig"]["thinkingConfig"] == {"thinking_level": "LOW"}
    assert sent["generationConfig"]["temperature"] == 0.3
    assert sent["systemInstruction"]["parts"][0]["text"].startswith("You are an experienced")


@pytest.mark.parametrize(
    ("refused", "sent"),
    [("temperature", {"max_completion_tokens": 8192}), ("max_completion_tokens", None)],
)
def test_a_parameter_that_an_endpoint_refuses_is_left_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str, sent: Any
) -> None:
    def faults(_: int, body: str) -> Fault:
        return f"unsupported {refused}" if refused in json.loads(body) else None

    with teaching(FaultyTeacher(faults)) as teacher:
        path = recipe(tmp_path, "openai", teacher, monkeypatch, concurrency=1)
        manifest = run_stage(STAGE, path)
    assert manifest.counts["answered"] == PAPERS
    assert manifest.counts["asked without"] == refused
    # Refused once, and left off from then on.
    assert len(teacher.requests) == PAPERS + 1
    last = json.loads(teacher.requests[-1])
    assert refused not in last
    assert last[next(iter(sent or {"max_tokens": 0}))] == 8192


def test_gemini_is_asked_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_LOCATION", raising=False)
    with teaching(FaultyTeacher()) as teacher:
        path = recipe(tmp_path, "google", teacher, monkeypatch, location=None, most=1)
        run_stage(STAGE, path)
    assert "/locations/global/" in teacher.paths[0]


def test_the_teacher_sees_no_more_than_the_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with teaching(FaultyTeacher()) as teacher:
        path = recipe(tmp_path, "openai", teacher, monkeypatch, prompt_tokens=9000)
        with pytest.raises(RecipeError, match=r"above sft\.max_length 8192"):
            run_stage(STAGE, path)
        long = paper("long", BODY * 200)
        (tmp_path / "out").rename(tmp_path / "before")
        collect(tmp_path, [long])
        run_stage(STAGE, recipe(tmp_path, "openai", teacher, monkeypatch))
    prompt = json.loads(teacher.requests[0])["messages"][1]["content"]
    assert len(prompt) < len(BODY * 200)


def test_geminis_thinking_budget_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teaching(FaultyTeacher()) as teacher:
        path = recipe(tmp_path, "google", teacher, monkeypatch, thinking_budget=1024, most=1)
        run_stage(STAGE, path)
    sent = json.loads(teacher.requests[0])
    assert sent["generationConfig"]["thinkingConfig"] == {"thinking_budget": 1024}


@pytest.mark.parametrize(
    ("protocol", "told"), [("google", "can't both be set"), ("openai", "only for Gemini")]
)
def test_budget_and_level_are_never_both(
    tmp_path: Path, protocol: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"thinking_budget": 1, **({"thinking_level": "low"} if protocol == "google" else {})}
    path = recipe(tmp_path, protocol, FaultyTeacher(), monkeypatch, **options)
    with pytest.raises(RecipeError, match=told):
        run_stage(STAGE, path)


def test_the_running_cost_is_counted_by_the_recipes_prices(
    teach: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with teaching(FaultyTeacher()) as teacher:
        counts = teach(teacher, usd_per_million_in=2.0, usd_per_million_out=12.0).counts
    written = counts["completion tokens"] + counts["thinking tokens"]
    assert counts["US dollars"] == round((2 * counts["prompt tokens"] + 12 * written) / 1e6, 4)
    assert "tokens in" in capsys.readouterr().err


def test_a_killed_run_has_paid_for_nothing_in_vain(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faults(_: int, body: str) -> Fault:
        return "hang" if "On 3" in body or "On 4" in body else None

    with teaching(FaultyTeacher(faults)) as teacher:
        path = recipe(tmp_path, protocol, teacher, monkeypatch, concurrency=2)
        command = [sys.executable, "-m", "training.teach", "--recipe", str(path)]
        with subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL) as process:
            cache = tmp_path / "out" / "teach" / "cache.jsonl"
            ends = time.monotonic() + 120
            while not (cache.exists() and len(cache.read_bytes().splitlines()) == 3):
                assert time.monotonic() < ends
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
        # Killed within a line, at the worst.
        with cache.open("ab") as file:
            file.write(b'{"paper":"peerread/iclr_2017/3","prompt_sh')
        assert not (tmp_path / "out" / "teach" / "manifest.json").exists()
        teacher.faults = lambda _n, _body: None
        manifest = run_stage(STAGE, path)
    assert manifest.resumed
    assert len(teacher.answered) == len(set(teacher.answered)) == PAPERS
    killed = reviews(tmp_path)
    whole = tmp_path / "whole"
    whole.mkdir()
    collect(whole, [paper(str(number)) for number in range(PAPERS)])
    with teaching(FaultyTeacher()) as teacher:
        run_stage(STAGE, recipe(whole, protocol, teacher, monkeypatch))
    assert killed == reviews(whole)


def test_again_asks_for_nothing_that_is_paid_for(tmp_path: Path, teach: Any) -> None:
    with teaching(FaultyTeacher()) as teacher:
        teach(teacher)
        run_stage(STAGE, tmp_path / "recipe.yaml", again=True)
    assert len(teacher.requests) == PAPERS
    assert len(reviews(tmp_path)) == PAPERS


def test_a_paper_without_text_is_left_out_with_its_reason(tmp_path: Path, teach: Any) -> None:
    (tmp_path / "out").rename(tmp_path / "before")
    collect(tmp_path, [paper("full"), paper("empty", text="  ")])
    with teaching(FaultyTeacher()) as teacher:
        manifest = teach(teacher)
    assert manifest.counts["answered"] == 1
    (left_out,) = read_rows(tmp_path / "out" / "teach" / "rejected.jsonl", Rejected)
    assert (left_out.paper, left_out.reason) == ("peerread/iclr_2017/empty", "no_prompt")
    assert "has no text" in left_out.detail


def test_no_papers_at_all_is_told(tmp_path: Path, teach: Any) -> None:
    (tmp_path / "out").rename(tmp_path / "before")
    collect(tmp_path, [])
    with teaching(FaultyTeacher()) as teacher, pytest.raises(InputInvalid, match="has no papers"):
        teach(teacher)


def test_a_teacher_before_anything_is_collected_is_told(tmp_path: Path, teach: Any) -> None:
    (tmp_path / "out").rename(tmp_path / "before")
    with (
        teaching(FaultyTeacher()) as teacher,
        pytest.raises(InputMissing, match=r"run python -m training\.collect first"),
    ):
        teach(teacher)


def test_no_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, "openai", FaultyTeacher(url="http://127.0.0.1:1"), monkeypatch)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherFailed, match="OPENAI_API_KEY"):
        run_stage(STAGE, path)


def test_no_credentials_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recipe(tmp_path, "google", FaultyTeacher(url="http://127.0.0.1:1"), monkeypatch)
    (tmp_path / "key.json").unlink()
    with pytest.raises(TeacherFailed, match=r"key\.json was not found"):
        run_stage(STAGE, path)
