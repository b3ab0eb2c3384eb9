from __future__ import annotations

import codecs
from pathlib import Path

import pandas as pd
import pytest

from headstart.results.files import write_table


@pytest.mark.parametrize(("name", "is_marked"), [("cat", False), ("鹿", True), ("כלב", True)])
def test_a_table_tells_a_spreadsheet_that_it_is_utf8_where_that_matters(tmp_path: Path, name: str, is_marked: bool):
    write_table(tmp_path / "answers.csv", pd.DataFrame({"path": [name], "share": [0.5]}))
    assert (tmp_path / "answers.csv").read_bytes().startswith(codecs.BOM_UTF8) == is_marked
    assert pd.read_csv(tmp_path / "answers.csv").to_dict("list") == {"path": [name], "share": [0.5]}
