"""The largest size of a request's body, by path and content type."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import RequestTooLarge, ReviewerError, UploadTooLarge
from app.settings import Settings

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits in bytes: ``upload`` for a form, and for the file in a chat; ``json`` for JSON."""

    upload: int
    json: int

    @classmethod
    def of(cls, settings: Settings) -> BodyLimits:
        return cls(int(settings.max_upload_mb * 1e6), int(settings.max_json_mb * 1e6))

    @property
    def chat(self) -> int:
        """For a chat's body: a file of ``upload`` bytes in base64, and ``json`` around it."""
        return self.upload * 4 // 3 + self.json

    def of_body(self, path: str, content_type: str) -> int:
        """The most bytes of a body to this path."""
        if path == CHAT:
            return self.chat
        return self.upload if content_type.startswith("multipart/") else self.json

    def exceeded(self, path: str, content_type: str) -> ReviewerError:
        """The error for a larger body."""
        most = self.of_body(path, content_type)
        message = f"The request is larger than the limit of {most / 1e6:g} MB."
        if path != CHAT and content_type.startswith("multipart/"):
            return UploadTooLarge(message, param="file")
        return RequestTooLarge(message)

    def check_file(self, size: int) -> None:
        """Check the size of a file in a chat.

        Raises:
            UploadTooLarge: the file is too large.
        """
        if size > self.upload:
            raise UploadTooLarge(
                f"The file is larger than the limit of {self.upload / 1e6:g} MB.", param="file_data"
            )

    def check_json(self, size: int) -> None:
        """Check the size of a chat without its file.

        Raises:
            RequestTooLarge: it is larger than JSON may be.
        """
        if size > self.json:
            raise RequestTooLarge(
                f"Without its file the request is larger than the limit of {self.json / 1e6:g} MB."
            )
