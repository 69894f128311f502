"""Makes the API's resource of the service itself."""

from __future__ import annotations

from app.api.schemas.service import (
    CalibrationBin,
    CalibrationInfo,
    ServiceInfo,
    TemplateInfo,
    TemplateSection,
)
from app.engine.base import ServedModel
from app.review.plan import ReviewRules


def service_info(rules: ReviewRules, version: str, model: ServedModel | None) -> ServiceInfo:
    """``model`` is None while none is ready."""
    settings, calibration = rules.settings, rules.calibration
    return ServiceInfo(
        version=version,
        model=model.name if model else None,
        notice=(model.notice or None) if model else None,
        keeps_reviews=settings.keeps_reviews,
        fetch_hosts=[host for host in map(str.strip, settings.fetch_hosts.split(",")) if host],
        max_upload_mb=settings.max_upload_mb,
        templates=[
            TemplateInfo(
                name=name,
                sections=[TemplateSection.model_validate(part) for part in template.sections],
            )
            for name, template in sorted(rules.templates.items())
        ],
        abstain=settings.abstain_band,
        calibration=CalibrationInfo(
            name=calibration.name,
            bins=[CalibrationBin.model_validate(one) for one in calibration.bins],
        )
        if calibration
        else None,
    )
