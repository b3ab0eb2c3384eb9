"""Which images belong together: what a person says, and what names of files suggest."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pictures import encoded, picture

from headstart.cli import main
from headstart.data.audit import audit
from headstart.data.groups import by_pattern, guessed
from headstart.data.listing import scan
from headstart.data.load import load
from headstart.errors import HeadstartError


@pytest.fixture
def patients(tmp_path):
    """24 patients with three photos each, half of them ill."""
    for patient in range(24):
        folder = tmp_path / "photos" / ("ill" if patient % 2 else "well")
        folder.mkdir(parents=True, exist_ok=True)
        for photo in range(3):
            (folder / f"patient{patient}_{photo}.png").write_bytes(encoded(picture(3 * patient + photo), "PNG"))
    return tmp_path / "photos"


def of_patient(dataset):
    return dataset.files["path"].str.extract(r"(patient\d+)")[0].to_numpy()


def test_a_pattern_keeps_what_it_captures_on_one_side_of_a_split(patients):
    apart, kept = load(patients), load(patients, group=r"(patient\d+)")
    crossing = [
        sum(len(set(of_patient(data)[part.rows])) for part in data.parts.values()) - 24 for data in (apart, kept)
    ]
    assert crossing[0] > 5
    assert crossing[1] == 0
    assert set(kept.groups) == set(of_patient(kept))


def test_a_column_of_a_csv_says_the_same_as_a_pattern(patients):
    paths = sorted(str(path.relative_to(patients)) for path in patients.rglob("*.png"))
    rows = [f"{path},{path.split('/')[0]},{re.search(r'patient[0-9]+', path)[0]}" for path in paths]
    table = patients / "labels.csv"
    table.write_text("\n".join(["path,label,Patient", *rows]))
    listing = scan(table, "patient")
    assert np.array_equal(listing.groups, by_pattern(r"(patient\d+)", listing.paths))
    assert np.array_equal(listing.groups, scan(table, r"(patient\d+)").groups)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"patient\d+", r"has no captures; --group takes a CSV's column, or a pattern .* such as '\(patient"),
        (r"(patient)(\d+)", "has 2 captures"),
        (r"(patient", "is no pattern: missing \\)"),
        (r"(patient1\d+)_", r"finds nothing in 42 of 72 paths, such as ill/patient1_0\.png: every image needs a group"),
        (r"(x?)", "finds nothing in 72 of 72 paths"),
    ],
)
def test_a_pattern_that_gives_no_groups_is_refused_in_one_line(patients, pattern, said):
    with pytest.raises(HeadstartError, match=said) as refusal:
        scan(patients, pattern)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            "path,label,case\n1.jpg,a,7\n2.jpg,b,8\n",
            r"has no column 'patient': it has path, label, case; --group takes",
        ),
        ("path,label,patient\n1.jpg,a,7\n2.jpg,b,\n", "line 3: patient is empty: every image needs a group"),
        (
            "path,label,split,patient\n1.jpg,a,train,7\n2.jpg,b,train,8\n3.jpg,a,test,7\n4.jpg,b,test,9\n",
            r"group '7' is in train and test \(1\.jpg, 3\.jpg\), and 0 more are in several",
        ),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_in_one_line(tmp_path, table, said):
    (tmp_path / "labels.csv").write_text(table)
    for number in range(1, 5):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    with pytest.raises(HeadstartError, match=said) as refusal:
        scan(tmp_path / "labels.csv", "patient")
    assert "\n" not in str(refusal.value)


def test_a_file_in_two_groups_is_told_with_all_else_that_stops(tmp_path):
    (tmp_path / "labels.csv").write_text("path,label,patient\n1.jpg,a,7\n1.jpg,a,8\n2.jpg,b,9\n")
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    listing = scan(tmp_path / "labels.csv", "patient")
    [finding] = [each for each in listing.findings if each.stops]
    assert finding.said == "1 file under two labels, splits or groups, such as 1.jpg: a 8, and a 7"
    assert listing.groups.tolist() == ["7", "9"]


def test_a_class_of_too_few_patients_is_told_with_the_number_of_its_images(patients):
    for path in [path for path in patients.rglob("*.png") if "ill" in path.parts and "patient1" not in path.name]:
        path.unlink()
    with pytest.raises(HeadstartError, match=r"class 'ill' has too few groups: .*; it has \d+ images; add groups"):
        load(patients, group=r"(patient1|patient\d+)")


def test_a_group_is_for_images_of_ones_own():
    with pytest.raises(HeadstartError, match="--group is for a folder or CSV of your own: cifar10 has no groups"):
        load("cifar10", group="(x)")


def test_images_of_a_group_count_as_one_in_what_is_tested(patients):
    data = load(patients, group=r"(patient\d+)")
    found = audit(data)
    assert len(set(found.units)) == len(set(of_patient(data)[data.tested.rows])) < len(found.units)
    assert [(each.kind, each.count, each.is_fault) for each in found.findings if "group" in each.kind] == [
        ("groups", 24, False)
    ]


def test_check_suggests_an_option_that_can_be_pasted_and_then_is_content(patients, capsys):
    with pytest.raises(SystemExit):
        main(["check", str(patients)])
    said = capsys.readouterr().out
    assert "72 images seem to come in 24 groups" in said
    assert r"--group='(patient\d+)'" in said
    main(["check", str(patients), "--group", r"(patient\d+)"])
    assert "72 images in 24 groups, each on one side of every split" in capsys.readouterr().out


def named(name, of_class=60):
    """Paths of two classes, and labels; name: (class, number, random generator) -> file."""
    rng = np.random.default_rng(0)
    paths = [f"{kind}/{name(kind, number, rng)}" for kind in ("cat", "dog") for number in range(of_class)]
    return paths, np.repeat([0, 1], of_class)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        (lambda kind, n, rng: f"IMG_{n // 3}_{n % 3 + 1}.jpg", 20),
        (lambda kind, n, rng: f"{kind}_{n // 3}_{n % 3 + 1}.jpg", 40),
        (lambda kind, n, rng: f"20260101_12{n // 4:02}00_{n % 4 + 1:03}.jpg", 15),  # bursts
        (lambda kind, n, rng: f"{n % 4:05}IMG_{n % 4:05}_BURST2026073112{n // 4:04}.jpg", 15),
        (lambda kind, n, rng: f"{kind}{n // 6}_{n % 6 * 10:05}.jpg", 20),  # every tenth frame
        (lambda kind, n, rng: f"clip{n // 20}_frame{n % 20:05}.jpg", 3),
        (lambda kind, n, rng: f"sub-{n // 3:02}_ses-{n % 3}.png", 20),
        (lambda kind, n, rng: f"person{n // 3}_bacteria_{n}.jpeg", 20),
        (lambda kind, n, rng: f"{kind}-{'abcdefghijkl'[n // 5]}/{n % 5}.jpg", 24),  # a folder a person
        (lambda kind, n, rng: f"{n // 2}_{'left' if n % 2 else 'right'}.jpeg", 30),
        (lambda kind, n, rng: f"{n // 3:03}{'abc'[n % 3]}.png", 20),
    ],
)
def test_names_that_tell_groups_give_a_pattern_for_them(name, groups):
    paths, labels = named(name)
    pattern, found = guessed(paths, labels)
    assert len(set(found)) == groups
    assert np.array_equal(found, by_pattern(pattern, paths))


@pytest.mark.parametrize(
    "name",
    [
        lambda kind, n, rng: f"{kind}{n + 1:03}.jpg",
        lambda kind, n, rng: f"{n}.png",
        lambda kind, n, rng: f"{kind}.{n}.jpg",
        lambda kind, n, rng: f"photo ({n}).jpg",
        lambda kind, n, rng: f"{kind}_1920x1080_{n}.jpg",
        lambda kind, n, rng: f"IMG_202601{n // 6 + 1:02}_{rng.integers(6, 22):02}{rng.integers(6000):04}.jpg",
        lambda kind, n, rng: f"{rng.bytes(8).hex()}.jpg",
        lambda kind, n, rng: f"{rng.integers(10**9)}_{rng.bytes(5).hex()}_o.jpg",
        lambda kind, n, rng: f"n0{len(kind) * 7}_{rng.integers(20_000)}.JPEG",
        lambda kind, n, rng: f"{('flickr', 'google', 'own')[n % 3]}/{n}.jpg",
        lambda kind, n, rng: f"subject {n}.jpg",
        lambda kind, n, rng: f"{kind}.jpg",
    ],
    ids=["class001", "0", "cat.0", "photo (0)", "size", "time", "hash", "flickr", "synset", "source", "single", "none"],
)
def test_plain_numbers_times_and_random_names_tell_no_groups(name):
    assert guessed(*named(name)) is None
