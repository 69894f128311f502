"""Figures of decisions and probabilities, the published ones among them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from app.review.decision import Decision
from training.baselines import (
    Texts,
    always_accept,
    at_same_rate,
    by_length,
    by_words,
    unusable_reason,
)
from training.metrics import (
    Figure,
    Outcomes,
    Resampling,
    confusion,
    measured,
    measured_at_random,
    outcomes_of,
    strata_of,
    values_of,
)

RESAMPLING = Resampling(100, seed=42)
PUBLISHED = {
    # TP, FP, FN, TN on 95 papers: F1, accuracy, precision, recall, accept rate.
    "tuned": ((74, 12, 6, 3), (0.892, 0.811, 0.860, 0.925, 0.905)),
    "base": ((67, 12, 13, 3), (0.843, 0.737, 0.848, 0.838, 0.832)),
}
PUBLISHED_FIGURES = ("f1", "accuracy", "precision", "recall", "accept_rate")


def counted(tp: int, fp: int, fn: int, tn: int) -> Outcomes:
    labels = [True] * tp + [False] * fp + [True] * fn + [False] * tn
    decisions = decided([True] * (tp + fp) + [False] * (fn + tn))
    return outcomes_of(labels, decisions, [None] * len(labels))


def decided(accepts: Sequence[bool]) -> list[Decision | None]:
    return ["accept" if accepts_it else "reject" for accepts_it in accepts]


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_published_table_follows_from_its_counts(model: str) -> None:
    counts, figures = PUBLISHED[model]
    values = values_of(counted(*counts))
    # 0.8375 stands as 0.838 in the card.
    assert [values[name] for name in PUBLISHED_FIGURES] == pytest.approx(figures, abs=0.00051)


def test_always_accepting_has_a_better_f1_than_the_published_model() -> None:
    tuned = counted(*PUBLISHED["tuned"][0])
    stamp = values_of(always_accept(tuned))
    assert stamp["f1"] == pytest.approx(0.914, abs=0.0005)
    assert stamp["f1"] > values_of(tuned)["f1"]
    assert (stamp["balanced_accuracy"], stamp["mcc"], stamp["kappa"]) == (0.5, 0, 0)
    assert (stamp["rejection_f1"], stamp["auroc"]) == (0, 0.5)


def test_figures_that_tell_a_reviewer_from_a_rubber_stamp_with_their_intervals() -> None:
    # As computed apart from this code when the published model was examined.
    figures = measured(counted(*PUBLISHED["tuned"][0]), Resampling(1000, seed=42)).figures()
    assert _told(figures["f1"]) == pytest.approx((0.892, 0.839, 0.937), abs=0.01)
    assert _told(figures["balanced_accuracy"]) == pytest.approx((0.563, 0.46, 0.68), abs=0.02)
    assert _told(figures["mcc"]) == pytest.approx((0.156, -0.10, 0.42), abs=0.02)
    assert figures["kappa"].value == pytest.approx(0.149, abs=0.0005)
    assert figures["rejection_f1"].value == pytest.approx(0.25)
    assert figures["rejection_recall"].value == pytest.approx(3 / 15)


def _told(figure: Figure) -> tuple[float | None, float | None, float | None]:
    return figure.value, figure.low, figure.high


def test_a_decision_that_can_not_be_read_is_wrong_and_no_acceptance() -> None:
    outcomes = outcomes_of([True, True, False, False], ["accept", None, None, "reject"], [None] * 4)
    values = values_of(outcomes)
    assert values["unparsed_rate"] == 0.5
    assert values["accept_rate"] == 0.25
    assert values["accuracy"] == 0.5
    assert values["balanced_accuracy"] == 0.5
    assert (values["precision"], values["recall"]) == (1, 0.5)
    assert confusion(outcomes) == {
        "accepted": {"accept": 1, "reject": 0, "unparsed": 1},
        "rejected": {"accept": 0, "reject": 1, "unparsed": 1},
    }


@pytest.mark.parametrize("became", [True, False])
def test_labels_of_one_class_leave_figures_undefined_with_a_reason(became: bool) -> None:
    outcomes = outcomes_of([became] * 4, ["accept", "accept", "reject", None], [0.9, 0.8, 0.2, 0.5])
    figures = {
        name: figure.as_json() for name, figure in measured(outcomes, RESAMPLING).figures().items()
    }
    for name in ("balanced_accuracy", "mcc", "kappa", "auroc", "auroc_length_matched"):
        assert figures[name]["value"] is None
        assert f"all 4 papers were {'accepted' if became else 'rejected'}" in str(figures[name])
    assert figures["accuracy"]["value"] == (0.5 if became else 0.25)
    assert isinstance(figures["brier"]["value"], float)
    undefined = "rejection_recall" if became else "recall"
    assert figures[undefined]["value"] is None


def test_without_probabilities_only_their_figures_are_missing() -> None:
    figures = measured(counted(2, 1, 1, 2), RESAMPLING).figures()
    assert figures["auroc"] == Figure(None, reason="no paper has a probability")
    assert figures["brier"].value is None
    assert figures["mcc"].value is not None


def test_probabilities_count_where_they_are() -> None:
    outcomes = outcomes_of([True, False, True], ["accept", "accept", "accept"], [0.9, 0.2, None])
    values = values_of(outcomes)
    assert values["auroc"] == 1
    assert values["brier"] == pytest.approx((0.1**2 + 0.2**2) / 2)
    assert values["calibration_error"] == pytest.approx((0.1 + 0.2) / 2)


def test_resamples_without_a_value_are_left_out_and_counted() -> None:
    figures = measured(
        outcomes_of([True, True, True, False], ["accept"] * 4, [0.9, 0.7, 0.6, 0.5]), RESAMPLING
    ).figures()
    # The one rejected paper is not drawn in (3/4)^4 = 32 % of resamples, all four in 0.4 %.
    assert figures["auroc"].undefined == pytest.approx(32, abs=15)
    assert figures["auroc"].as_json()["undefined_resamples"] == figures["auroc"].undefined
    assert (figures["auroc"].low, figures["auroc"].high) == (1, 1)
    assert figures["accuracy"].undefined == 0


def test_intervals_come_back_with_the_seed_and_widen_with_the_confidence() -> None:
    outcomes = counted(20, 8, 6, 10)
    one = measured(outcomes, RESAMPLING).figures()["accuracy"]
    first = measured(outcomes, RESAMPLING).samples["mcc"][0]
    assert measured(outcomes, RESAMPLING).figures()["accuracy"] == one
    assert measured(outcomes, Resampling(100, seed=1)).samples["mcc"][0] != first
    half = measured(outcomes, Resampling(100, seed=42, confidence=0.5)).figures()["accuracy"]
    assert _width(half) < _width(one)


def _width(figure: Figure) -> float:
    assert figure.low is not None
    assert figure.high is not None
    return figure.high - figure.low


def test_differences_are_paired() -> None:
    outcomes = counted(20, 8, 6, 10)
    same = measured(outcomes, RESAMPLING).less(measured(outcomes, RESAMPLING))
    assert same["accuracy"] == Figure(0, 0, 0)
    assert same["auroc"].reason == "no paper has a probability"
    stamp = measured(always_accept(outcomes), RESAMPLING)
    more = measured(outcomes, RESAMPLING).less(stamp)
    assert more["accuracy"].value == pytest.approx(30 / 44 - 26 / 44)


def test_chance_accepts_as_many_and_knows_nothing() -> None:
    generator = np.random.default_rng(0)
    labels = generator.random(200) < 0.7
    known = np.where(labels, 0.8, 0.2) + generator.normal(0, 0.05, 200)
    outcomes = outcomes_of(
        [bool(label) for label in labels],
        decided([p >= 0.5 for p in known]),
        [float(p) for p in known],
    )
    assert values_of(outcomes)["auroc"] == 1
    chance = measured_at_random(outcomes, RESAMPLING).figures()
    rate = values_of(outcomes)["accept_rate"]
    assert chance["accept_rate"].value == pytest.approx(rate, abs=0.01)
    assert chance["auroc"].value == pytest.approx(0.5, abs=0.02)
    assert chance["mcc"].value == pytest.approx(0, abs=0.02)


def test_matching_lengths_takes_away_what_length_alone_tells() -> None:
    generator = np.random.default_rng(0)
    labels = [bool(bit) for bit in generator.random(400) < 0.5]
    lengths = [int(5000 + 800 * label + generator.normal(0, 600)) for label in labels]
    by_size = [length / 10_000 for length in lengths]
    decisions = decided([p > 0.54 for p in by_size])
    strata = strata_of(lengths, 20)
    values = values_of(outcomes_of(labels, decisions, by_size, strata))
    assert values["auroc"] > 0.75
    assert values["auroc_length_matched"] == pytest.approx(0.5, abs=0.1)
    told = [0.7 * label + 0.3 * float(generator.random()) for label in labels]
    better = values_of(outcomes_of(labels, decisions, told, strata))
    assert better["auroc_length_matched"] == 1


def test_strata_hold_about_as_many_papers_each() -> None:
    strata = strata_of(list(range(100)), 4)
    assert [int(np.sum(strata == stratum)) for stratum in range(4)] == [25, 25, 25, 25]
    assert set(strata_of([7] * 5, 3)) == {2}


def papers(count: int, seed: int, long: bool = False) -> Texts:
    """Accepted ones say what rejected ones do not, or are longer."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(count):
        accepted = number % 2 == 0
        words = generator.choice(["token", "model", "loss", "data", "graph"], 60).tolist()
        if long:
            words = words[: 50 if accepted else 30]
        elif accepted:
            words += ["theorem"] * 3
        texts.append(" ".join(words))
        labels.append(int(accepted))
    return Texts(texts, np.array(labels))


def test_words_and_length_are_learnt_from_other_papers() -> None:
    test, train = papers(40, 1), papers(80, 2)
    outcomes = outcomes_of([bool(label) for label in test.labels], ["accept"] * 40, [None] * 40)
    for trained_on in (None, train):
        values = values_of(at_same_rate(outcomes, by_words(test, trained_on, seed=0)))
        assert values["auroc"] > 0.95
    test, train = papers(40, 1, long=True), papers(80, 2, long=True)
    for trained_on in (None, train):
        assert values_of(at_same_rate(outcomes, by_length(test, trained_on)))["auroc"] == 1


def test_words_of_a_paper_are_not_judged_by_its_own_label() -> None:
    generator = np.random.default_rng(0)
    texts = [" ".join(map(str, generator.integers(0, 50, 30))) for _ in range(60)]
    labels = generator.integers(0, 2, 60)
    outcomes = outcomes_of([bool(label) for label in labels], ["accept"] * 60, [None] * 60)
    auroc = values_of(at_same_rate(outcomes, by_words(Texts(texts, labels), None, seed=0)))["auroc"]
    assert auroc < 0.75  # fitted to its own labels it would be 1


def test_a_baseline_accepts_as_many_as_the_reviewer_beside_it() -> None:
    outcomes = counted(3, 2, 1, 4)
    scores = np.linspace(0, 1, 10)
    values = values_of(at_same_rate(outcomes, scores))
    assert values["accept_rate"] == 0.5
    assert list(at_same_rate(outcomes, scores).answers) == [0] * 5 + [1] * 5


def test_nothing_is_fitted_to_papers_of_one_class() -> None:
    assert unusable_reason(np.array([1, 1, 0])) == "only 1 rejected papers to fit to"
    assert unusable_reason(np.array([1, 0, 1, 0])) is None


def test_outcomes_are_of_the_same_papers() -> None:
    with pytest.raises(ValueError, match="2 labels"):
        outcomes_of([True, False], ["accept"], [None, None])
    with pytest.raises(ValueError, match="0 labels"):
        outcomes_of([], [], [])
    assert math.isnan(outcomes_of([True], [None], [None]).probabilities[0])
