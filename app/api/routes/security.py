"""What the OpenAPI document says of API keys; ``app.api.middleware.auth_and_limits`` checks
them."""

from __future__ import annotations

from fastapi.security import HTTPBearer

bearer_key = HTTPBearer(
    scheme_name="API key",
    description="Required if the service has API keys.",
    auto_error=False,
)
