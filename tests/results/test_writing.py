from __future__ import annotations

import pytest

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.files import write_json
from headstart.results.writing import new_folder, refuse_parts, refuse_taken


def test_a_new_comparison_takes_the_next_number(tmp_path):
    for taken in ("cifar10-1", "cifar10-7", "cifar10-x", "other-9"):
        (tmp_path / taken).mkdir()
    assert new_folder("cifar10", root=tmp_path).name == "cifar10-8"
    assert new_folder("birds", root=tmp_path).name == "birds-1"


def test_a_given_folder_must_be_empty_or_one_to_go_on_with(tmp_path):
    refuse_taken(tmp_path / "new" / "deep")
    (tmp_path / "killed").mkdir()
    for name in (".lock", ".request.json.1234.tmp"):  # by signal 9, before anything was written whole
        (tmp_path / "killed" / name).touch()
        refuse_taken(tmp_path / "killed")
    (tmp_path / "full").mkdir()
    refuse_taken(tmp_path / "full")
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    for taken in (tmp_path / "full", tmp_path / "full" / "thesis.txt"):
        with pytest.raises(HeadstartError, match="not an empty folder"):
            refuse_taken(taken)
    write_json(tmp_path / "full" / runs.REQUEST, {"schema": runs.SCHEMA, "kind": "learning curve"})
    refuse_taken(tmp_path / "full", "learning curve")
    with pytest.raises(HeadstartError, match="holds a learning curve, no comparison"):
        refuse_taken(tmp_path / "full")


def test_a_part_of_a_run_is_named_before_anything_is_trained(tmp_path):
    run = tmp_path / "frozen" / "holdout-seed0"
    refuse_parts([run])
    (run / "exports").mkdir(parents=True)
    with pytest.raises(HeadstartError, match=r"holdout-seed0 holds a part of a run, without metrics\.json"):
        refuse_parts([run])
