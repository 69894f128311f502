"""``/v1/reviews/{id}/points``, edited exports and ``/v1/reviews/stats``, on both databases."""

from __future__ import annotations

import csv
import io
import threading
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.engine.base import ServedModel
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine, WordTokenizer
from tests.jobs.api import code_of, gated, post, post_pdf, review_of, scripted

Json = dict[str, Any]
IDS = [
    "summary",
    "technical_soundness",
    "clarity",
    "significance",
    "strengths-1",
    "strengths-2",
    "weaknesses-1",
]
QUESTIONS = WHOLE_REVIEW.replace("## Technical Soundness\nSound.", "## Soundness\nSound.").replace(
    "## Significance\nSome.", "## Contribution\nSome.\n\n## Questions\n- Why?\n- How?"
)


@pytest.fixture
def client(serve: Serve, database_url: SecretStr | None) -> httpx.Client:
    return serve(scripted(), Settings(database_url=database_url))


@pytest.fixture
def path(client: httpx.Client) -> str:
    return f"/v1/reviews/{review_of(post_pdf(client))['id']}"


def patch(client: httpx.Client, path: str, version: int, **changes: Any) -> Json:
    response = client.patch(f"{path}/points", json={"version": version, **changes})
    assert response.status_code == 200, response.text
    body: Json = response.json()
    assert body == client.get(f"{path}/points").json()
    return body


def point(body: Json, point_id: str) -> Json:
    (found,) = (point for point in body["points"] if point["id"] == point_id)
    return dict(found)


def test_points_begin_as_the_model_wrote_them(client: httpx.Client, path: str) -> None:
    body = client.get(f"{path}/points").json()
    assert (body["object"], body["version"]) == ("review.points", 0)
    assert [point["id"] for point in body["points"]] == IDS
    first = point(body, "strengths-1")
    assert first["text"] == first["written"] == "It counts them once."
    assert (first["section"], first["kind"]) == ("strengths", "point")
    assert (first["dismissed"], first["useful"]) == (None, False)
    assert point(body, "summary")["kind"] == "section"


def test_the_model_s_own_text_stays(client: httpx.Client, path: str) -> None:
    before = client.get(path).json()
    body = patch(client, path, 0, edit=[{"id": "weaknesses-1", "text": "It counts  words."}])
    changed = point(body, "weaknesses-1")
    assert changed["text"] == "It counts  words."
    assert changed["written"] == "It counts nothing else."
    assert body["version"] == 1
    assert client.get(path).json() == before
    body = patch(client, path, 1, edit=[{"id": "weaknesses-1", "text": None}])
    assert point(body, "weaknesses-1")["text"] == "It counts nothing else."


def test_a_point_is_dismissed_for_a_reason_and_taken_in_again(
    client: httpx.Client, path: str
) -> None:
    edit = {"id": "strengths-2", "useful": True}
    body = patch(client, path, 0, edit=[edit])
    assert point(body, "strengths-2")["useful"]
    for version, reason in enumerate(("wrong", "trivial", "not_in_paper", None), start=1):
        body = patch(client, path, version, edit=[{"id": "strengths-2", "dismissed": reason}])
        after = point(body, "strengths-2")
        assert (after["dismissed"], after["useful"]) == (reason, False)


def test_points_of_ones_own_are_added_edited_and_removed(client: httpx.Client, path: str) -> None:
    passage = {"page": 1, "bbox": [10, 20, 30.5, 40], "quote": "We count."}
    new = {"section": "weaknesses", "text": "It has no baseline.", "passage": passage}
    body = patch(client, path, 0, add=[new, {"section": "strengths", "text": "Short."}])
    own = point(body, "own-1")
    assert own["written"] is None
    assert own["evidence"] == [{**passage, "bbox": [10.0, 20.0, 30.5, 40.0], "score": 1.0}]
    body = patch(client, path, 1, edit=[{"id": "own-2", "text": "Short and clear."}])
    assert point(body, "own-2")["text"] == "Short and clear."
    body = patch(client, path, 2, remove=["own-1"])
    body = patch(client, path, 3, add=[{"section": "strengths", "text": "Again."}])
    assert [p["id"] for p in body["points"]][-2:] == ["own-2", "own-3"], "ids are never reused"


def test_two_tabs_do_not_overwrite_each_other(client: httpx.Client, path: str) -> None:
    patch(client, path, 0, edit=[{"id": "summary", "text": "First."}])
    late = {"version": 0, "edit": [{"id": "summary", "text": "Second."}], "remove": ["own-9"]}
    refused = client.patch(f"{path}/points", json=late)
    assert code_of(refused, 409) == "points_changed"
    assert "is 1, not 0" in refused.json()["error"]["message"]
    assert point(client.get(f"{path}/points").json(), "summary")["text"] == "First."


def test_of_changes_at_the_same_time_one_is_made(client: httpx.Client, path: str) -> None:
    answers: list[int] = []

    def change(number: int) -> None:
        body = {"version": 0, "edit": [{"id": "summary", "text": f"Number {number}."}]}
        answers.append(client.patch(f"{path}/points", json=body).status_code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409, 409, 409, 409, 409]
    assert client.get(f"{path}/points").json()["version"] == 1


REFUSED: list[tuple[Json, int, str]] = [
    ({"edit": [{"id": "weaknesses-9", "text": "x"}]}, 404, "point_not_found"),
    ({"edit": [{"id": "own-1", "text": "x"}]}, 404, "point_not_found"),
    ({"remove": ["weaknesses-1"]}, 404, "point_not_found"),
    ({"edit": [{"id": "summary", "dismissed": "wrong"}]}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "text": ""}]}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "text": " \n "}]}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "text": "x" * 20_001}]}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "text": "a\0b"}]}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "dismissed": "boring"}]}, 400, "invalid_value"),
    (
        {"edit": [{"id": "strengths-1", "dismissed": "wrong", "useful": True}]},
        400,
        "invalid_value",
    ),
    ({"edit": [{"id": "strengths-1"}] * 201}, 400, "invalid_value"),
    ({"edit": [{"id": "strengths-1", "colour": "red"}]}, 400, "unknown_field"),
    ({"edit": [{"text": "x"}]}, 400, "missing_field"),
    ({"add": [{"section": "summary", "text": "x"}]}, 400, "invalid_value"),
    ({"add": [{"section": "weaknesses", "text": "x"}] * 101}, 400, "invalid_value"),
    (
        {"add": [{"section": "weaknesses", "text": "x", "passage": {"page": 1}}]},
        400,
        "missing_field",
    ),
    (
        {
            "add": [
                {
                    "section": "weaknesses",
                    "text": "x",
                    "passage": {"page": 1, "bbox": [9, 0, 1, 1]},
                }
            ]
        },
        400,
        "invalid_value",
    ),
    ({"points": []}, 400, "unknown_field"),
]


def test_what_is_refused_changes_nothing(client: httpx.Client, path: str) -> None:
    for changes, status, code in REFUSED:
        good = {"add": [{"section": "strengths", "text": "Good."}]}
        refused = client.patch(f"{path}/points", json={"version": 0, **good, **changes})
        assert code_of(refused, status) == code, changes
    assert client.get(f"{path}/points").json()["version"] == 0


def test_bodies_that_are_no_changes(client: httpx.Client, path: str) -> None:
    for content, kind, status, code in (
        (b"{", "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_value"),
        (b'{"edit": []}', "application/json", 400, "missing_field"),
        (b'{"version": 0, "add": []}', "application/json", 400, "invalid_value"),
        (b'{"version": 0, "edit": "\\ud800"}', "application/json", 400, "invalid_json"),
        (b"version=0", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b" " * 4_000_001, "application/json", 413, "request_too_large"),
    ):
        refused = client.patch(f"{path}/points", content=content, headers={"Content-Type": kind})
        assert code_of(refused, status) == code, content[:20]
    assert client.get(f"{path}/points").json()["version"] == 0


def test_a_review_that_is_not_completed_has_no_points(serve: Serve) -> None:
    client = serve(gated(), Settings(background_reviews=0))
    waiting = post(client, background=True).json()["id"]
    assert code_of(client.get(f"/v1/reviews/{waiting}/points"), 409) == "review_not_completed"
    body = {"version": 0, "edit": [{"id": "summary", "text": "x"}]}
    assert (
        code_of(client.patch(f"/v1/reviews/{waiting}/points", json=body), 409)
        == "review_not_completed"
    )
    assert code_of(client.get("/v1/reviews/rev_none/points"), 404) == "review_not_found"


def test_edits_go_with_their_review(client: httpx.Client, path: str) -> None:
    patch(client, path, 0, edit=[{"id": "strengths-1", "dismissed": "wrong"}])
    assert client.get("/v1/reviews/stats").json()["points"]
    assert client.delete(path).status_code == 200
    assert client.get("/v1/reviews/stats").json()["points"] == []


def test_exports_are_as_written_or_as_edited(client: httpx.Client, path: str) -> None:
    patch(
        client,
        path,
        0,
        edit=[
            {"id": "strengths-1", "dismissed": "trivial"},
            {"id": "weaknesses-1", "text": "=It counts\nno words."},
            {"id": "summary", "text": "An edited summary."},
        ],
        add=[{"section": "weaknesses", "text": "No baseline."}],
    )
    for form in ("md", "json", "csv", "form"):
        written = client.get(f"{path}/export", params={"format": form}).text
        edited = client.get(f"{path}/export", params={"format": form, "edited": "true"}).text
        assert "It counts them once." in written
        assert "It counts them once." not in edited
        assert "It counts nothing else." in written
        assert "It counts nothing else." not in edited
        assert "No baseline." in edited
        assert "An edited summary." in edited
    form = client.get(f"{path}/export?format=form&edited=true").text
    assert "## Weaknesses\n- =It counts no words.\n- No baseline.\n" in form
    assert form.endswith("I recommend this paper for ACCEPTANCE.\n")
    row = list(
        csv.DictReader(io.StringIO(client.get(f"{path}/export?format=csv&edited=true").text))
    )
    assert row[0]["weaknesses"].startswith("'=")


def test_a_review_is_exported_in_another_venue_s_form(client: httpx.Client, path: str) -> None:
    form = client.get(f"{path}/export?format=form&template=iclr").text
    headings = [line for line in form.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Summary",
        "## Soundness",
        "## Presentation",
        "## Contribution",
        "## Strengths",
        "## Weaknesses",
        "## Questions",
        "## Final Recommendation",
    ]
    assert "## Soundness\nSound." in form
    refused = client.get(f"{path}/export?format=form&template=nature")
    assert code_of(refused, 400) == "unknown_template"
    assert code_of(client.get(f"{path}/export?template=iclr"), 400) == "invalid_value"


def test_other_lists_have_points_and_nothing_is_lost_in_a_form_without_them(
    serve: Serve,
) -> None:
    client = serve(scripted(texts=[QUESTIONS]), Settings())
    path = f"/v1/reviews/{review_of(post(client, template='iclr'))['id']}"
    body = client.get(f"{path}/points").json()
    assert point(body, "questions-2")["text"] == "How?"
    patch(client, path, 0, add=[{"section": "questions", "text": "When?"}])
    form = client.get(f"{path}/export?format=form&template=default&edited=true").text
    assert "## Questions\n- Why?\n- How?\n- When?\n" in form


def test_stats_measure_the_reviewer_s_precision_by_model(
    serve: Serve, database_url: SecretStr | None
) -> None:
    settings = Settings(database_url=database_url)
    for model in ("one", "two"):
        served = ServedModel(model, 8192, 1024, version="1")
        engine = ScriptedEngine(WordTokenizer(), model=served, logprobs=(-0.1, -2.5))
        client = serve(engine, settings)
        reviews = [review_of(post(client, title=f"{model} {n}"))["id"] for n in range(2)]
        patch(
            client,
            f"/v1/reviews/{reviews[0]}",
            0,
            edit=[
                {"id": "strengths-1", "dismissed": "wrong"},
                {"id": "strengths-2", "useful": True},
                {"id": "weaknesses-1", "text": "Otherwise."},
                {"id": "summary", "text": "Sections do not count."},
            ],
            add=[{"section": "weaknesses", "text": "Mine."}],
        )
    stats = client.get("/v1/reviews/stats").json()
    assert [found["model"] for found in stats["points"]] == ["one", "two"]
    assert stats["points"][0] == {
        "model": "one",
        "reviews": 1,
        "points": 3,
        "kept": 2,
        "share_kept": 0.6667,
        "dismissed": {"wrong": 1, "trivial": 0, "not_in_paper": 0},
        "useful": 1,
        "edited": 1,
        "added": 1,
    }
    assert stats["statuses"] == {"completed": 4}
    assert stats["decisions"] == {"accept": 4}
    assert stats["probabilities"] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 4]
    none = client.get("/v1/reviews/stats?decision=reject").json()
    assert none["statuses"] == {}
    assert none["probabilities"] == [0] * 10


def test_keys_see_only_their_own(serve: Serve) -> None:
    from tests.test_auth import ALICE, BOB, KEYS

    client = serve(scripted(), Settings(api_keys=KEYS))
    alice = {"Authorization": f"Bearer {ALICE}"}
    bob = {"Authorization": f"Bearer {BOB}"}
    text = {"title": "T", "body": "# Introduction\n\nWe count."}
    review = client.post("/v1/reviews", json=text, headers=alice).json()["id"]
    path = f"/v1/reviews/{review}/points"
    body = {"version": 0, "edit": [{"id": "strengths-1", "dismissed": "wrong"}]}
    assert client.get(path, headers=alice).status_code == 200
    assert code_of(client.get(path, headers=bob), 404) == "review_not_found"
    assert code_of(client.patch(path, json=body, headers=bob), 404) == "review_not_found"
    assert client.patch(path, json=body, headers=alice).status_code == 200
    assert client.get("/v1/reviews/stats", headers=bob).json()["points"] == []
    assert code_of(client.get("/v1/service"), 401) == "invalid_api_key"
