"""Checks a request against the model and the settings, and plans its generation."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec.structs import asdict

from app.api.schemas.requests import ReviewParameters
from app.engine.base import Generation, Sampling, ServedModel, Tokenizer
from app.errors import InvalidRequest, ModelNotFound
from app.review.calibration import Calibration, load_calibration
from app.review.structure import Constraint, review_structure, section_budgets
from app.review.template import Template
from app.review.templates import load_templates
from app.review.verdict import Confidence
from app.settings import Settings

VERDICT_ROOM = 32
"""Tokens of the context that reading the verdict needs beyond prompt and review."""
_LEAST_PROMPT = 512


@dataclass(frozen=True, slots=True)
class Plan:
    """How one review is made. ``generation`` is None for a verdict alone; its messages are set
    once the prompt is packed.
    """

    id: str
    template: Template
    prompt_budget: int
    generation: Generation | None
    constraint: Constraint | None
    """The template's format, as the engine enforces it; None for a free review, and for one in a
    format of the client's own."""
    confidence: Confidence
    cache_salt: str | None = None
    """See :class:`app.engine.base.Generation`."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that determines the review of a given paper.

        It is stored and compared across versions, so class and field names of the plan's parts
        must stay as they are.
        """
        nameless = self.generation and replace(self.generation, request_id="", cache_salt=None)
        whole = repr(replace(self, id="", generation=nameless, cache_salt=None))
        return hashlib.sha256(whole.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class ReviewRules:
    """Settings, templates and calibration that apply to every review; loaded once."""

    settings: Settings
    templates: Mapping[str, Template]
    calibration: Calibration | None

    @classmethod
    def load(cls, settings: Settings) -> ReviewRules:
        """Read the templates and the calibration that the settings name.

        Raises:
            ConfigurationError: a template or the calibration is invalid.
        """
        calibration = load_calibration(settings.calibration) if settings.calibration else None
        return cls(settings, load_templates(settings.templates_dir), calibration)

    def plan(
        self,
        asked: ReviewParameters,
        model: ServedModel,
        tokenizer: Tokenizer,
        answer_format: dict[str, Any] | None = None,
        cache_salt: str | None = None,
    ) -> Plan:
        """The plan for a request. ``answer_format`` is a structural tag to use instead of the
        template's format.

        Raises:
            InvalidRequest: the model can't meet the parameters, or they contradict each other.
        """
        template = self.template(asked.template)
        if asked.model is not None and asked.model not in (model.name, *model.also_named):
            raise ModelNotFound(f"The model {asked.model!r} is not served here.", param="model")
        if asked.mode == "verdict" and asked.samples > 1:
            raise InvalidRequest(
                "Mode 'verdict' generates no text, so it takes no samples.", param="samples"
            )
        sampling = self._sampling(asked, model)
        if asked.samples > 1 and sampling.temperature == 0:
            raise InvalidRequest("At temperature 0 all samples would be the same.", param="samples")
        max_tokens = asked.max_tokens or model.max_tokens
        budget = _prompt_budget(model, 0 if asked.mode == "verdict" else max_tokens)
        if budget < _LEAST_PROMPT:
            raise InvalidRequest(
                f"max_tokens of {max_tokens} leaves {max(budget, 0)} tokens of the context of "
                f"{model.max_model_len} for the prompt: {_LEAST_PROMPT - budget} too few.",
                param="max_tokens",
            )
        written = asked.format or self.settings.review_format
        structured = written == "structured"
        constraint = None
        if structured and answer_format is None and asked.mode == "review":
            answer_format = review_structure(tokenizer, template, max_tokens)
            constraint = Constraint(section_budgets(tokenizer, template, max_tokens), tokenizer)
        review_id = f"rev_{uuid.uuid4().hex}"
        suits = self.calibration and self.calibration.suits(
            model, template.name, asked.mode, written
        )
        return Plan(
            id=review_id,
            template=template,
            prompt_budget=budget,
            generation=None
            if asked.mode == "verdict"
            else _generation(review_id, asked, sampling, max_tokens, answer_format, cache_salt),
            constraint=constraint,
            confidence=Confidence(self.calibration if suits else None, self.settings.abstain_band),
            cache_salt=cache_salt,
        )

    def _sampling(self, asked: ReviewParameters, model: ServedModel) -> Sampling:
        """Each parameter as the request has it, or else the settings, or else the model."""
        given = {
            name: next(
                (
                    value
                    for where in (asked, self.settings)
                    if (value := getattr(where, name)) is not None
                ),
                own,
            )
            for name, own in asdict(model.sampling).items()
        }
        return Sampling(**given)

    def template(self, name: str) -> Template:
        """The template of this name.

        Raises:
            InvalidRequest: there is none.
        """
        if name not in self.templates:
            raise InvalidRequest(
                f"There is no template {name!r}; there are: {', '.join(sorted(self.templates))}.",
                param="template",
                code="unknown_template",
            )
        return self.templates[name]


def _generation(
    request_id: str,
    asked: ReviewParameters,
    sampling: Sampling,
    max_tokens: int,
    structure: dict[str, Any] | None,
    cache_salt: str | None,
) -> Generation:
    return Generation(
        request_id=request_id,
        messages=(),
        max_tokens=max_tokens,
        **asdict(sampling),
        seed=asked.seed,
        structure=structure,
        n=asked.samples,
        cache_salt=cache_salt,
    )


def _prompt_budget(model: ServedModel, max_tokens: int) -> int:
    left = model.max_model_len - max_tokens - VERDICT_ROOM
    return left if model.max_prompt_tokens is None else min(left, model.max_prompt_tokens)
