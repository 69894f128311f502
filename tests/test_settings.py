from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.main import create_app
from app.settings import load_settings


def test_the_environment_is_read_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWER_PORT", "9001")
    monkeypatch.setenv("REVIEWER_TEMPERATURE", "0.7")
    settings = load_settings(port=9002, model=None)
    assert (settings.port, settings.temperature, settings.model) == (9002, 0.7, "auto")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("REVIEWER_PROT", "1", "did you mean REVIEWER_PORT"),
        ("REVIEWER_PORT", "http", "REVIEWER_PORT: Input should be a valid integer"),
        ("REVIEWER_MAX_MODEL_LEN", "-5", "REVIEWER_MAX_MODEL_LEN: Input should be greater"),
        ("REVIEWER_GPU_MEMORY_UTILIZATION", "1.5", "REVIEWER_GPU_MEMORY_UTILIZATION"),
        ("REVIEWER_ENGINE", "torch", "'vllm' or 'upstream'"),
        ("REVIEWER_ENGINE", "upstream", "needs upstream_url"),
        ("REVIEWER_UPSTREAM_URL", "not a url", "REVIEWER_UPSTREAM_URL"),
        ("REVIEWER_FETCH_HOSTS", "https://arxiv.org/, a.org", "not the name of a host"),
        ("REVIEWER_CORS_ORIGINS", "*", "REVIEWER_CORS_ORIGINS: it has to be JSON"),
        ("REVIEWER_API_KEYS", "alice", "REVIEWER_API_KEYS: it has to be JSON"),
    ],
)
def test_what_cannot_work_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=told.replace("(", r"\(")):
        load_settings()


def test_a_client_s_key_disturbs_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWER_API_KEY", "sk-secret")
    assert "sk-secret" not in repr(load_settings())


@pytest.mark.parametrize("model", ["gpt-4", "/no/such/folder", "", "a/b/c"])
def test_a_model_that_is_nowhere_is_refused_before_anything_starts(model: str) -> None:
    with pytest.raises(ConfigurationError, match="neither an alias"):
        create_app(load_settings(model=model))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no config\.json"):
        create_app(load_settings(model=str(tmp_path)))


def test_the_key_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWER_UPSTREAM_API_KEY", "sk-secret")
    assert "sk-secret" not in repr(load_settings())
