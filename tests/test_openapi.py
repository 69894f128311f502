"""The service does what its OpenAPI document says, whatever it is sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.service import ScriptedService
from tests.test_auth import ALICE, KEYS

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "unsupported_method",
)


def test_no_fault_and_no_undocumented_answer(tmp_path: Path) -> None:
    told = {"REVIEWER_API_KEYS": json.dumps(KEYS), "REVIEWER_FETCH_HOSTS": ""}
    with ScriptedService(tmp_path / "log", **told) as service:
        done = subprocess.run(
            [
                *(SCHEMATHESIS, "run", f"{service.url}/openapi.json", "--no-color"),
                *("--header", f"Authorization: Bearer {ALICE}"),
                *("--phases", "examples,coverage,fuzzing"),
                *("--max-examples", "25", "--seed", "1", "--suppress-health-check", "all"),
                *("--checks", ",".join(CHECKS)),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout.partition("Test cases:")[2])
    assert passed
    assert int(passed[1]) > 300
    assert "unexpected" not in service.log.read_text()
