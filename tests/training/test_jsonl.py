"""Rows in files, and what a kill may leave of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pytest

from training.errors import InputInvalid, InputMissing
from training.jsonl import Appender, read_rows, write_rows


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    number: int = 0


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    rows = [Pair("one", 1), Pair("zwei ü\n\u2028", 2)]
    assert write_rows(tmp_path / "plain.jsonl", rows) == 2
    data = (tmp_path / "plain.jsonl").read_bytes()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert list(read_rows(path, Pair)) == rows


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"name":"a"}\n{"name":"b"', "line 2: the line is truncated"),
        (b'{"name":"a"}\n\n', "line 2: Input data was truncated"),
        (b'{"name":"a"}\n{"name":7}\n', "line 2: Expected `str`, got `int`"),
        (b'{"name":"a"}\n{"number":7}\n', "line 2: Object missing required field `name`"),
        (b'{"name":"a"}\n{"name":"b","x":1}\n', "line 2: Object contains unknown field `x`"),
        (b'{"name":"a"}\n{"name":"\xff"}\n', "line 2: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputInvalid, match=told):
        list(read_rows(path, Pair))


def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"name":"a"}\n' * 1000)[:-20])
    with pytest.raises(InputInvalid, match=r"rows\.jsonl\.gz, .*line \d+"):
        list(read_rows(path, Pair))
    path.write_bytes(b"no gzip")
    with pytest.raises(InputInvalid, match="truncated"):
        list(read_rows(path, Pair))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match=r"rows\.jsonl"):
        list(read_rows(tmp_path / "rows.jsonl", Pair))


@pytest.mark.parametrize("torn", [b"", b'{"na', b'{"name":"b"}', b"\x00" * 70_000])
def test_appending_goes_on_after_the_last_whole_line(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"name":"a"}\n' + torn)
    with Appender(path, sync=True) as appender:
        appender.append(Pair("c"))
    assert list(read_rows(path, Pair)) == [Pair("a"), Pair("c")]


def test_a_file_that_fails_half_way_does_not_appear(tmp_path: Path) -> None:
    def rows() -> object:
        yield Pair("a")
        raise InputInvalid("half way")

    with pytest.raises(InputInvalid):
        write_rows(tmp_path / "rows.jsonl", rows())  # type: ignore[arg-type]
    assert not (tmp_path / "rows.jsonl").exists()
