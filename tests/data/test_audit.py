from __future__ import annotations

import json

import numpy as np
import pytest
from pictures import encoded, picture, plant
from PIL import Image, ImageEnhance

import headstart as hs
from headstart.cli import main
from headstart.data.audit import audit
from headstart.data.load import load


@pytest.fixture
def photos(tmp_path):
    """Two classes, split as given; all pictures differ."""
    for place, (name, count) in enumerate((("train", 12), ("val", 4), ("test", 6))):
        plant(tmp_path / "photos" / name, {"cat": count, "dog": count}, first_seed=100 * place)
    return tmp_path / "photos"


def found(place, **options):
    return {finding.kind: finding for finding in audit(load(place, **options)).findings}


def test_a_clean_folder_has_no_findings(photos):
    assert found(photos) == {}


def test_an_exact_copy_in_test_is_a_leak(photos):
    (photos / "test" / "cat" / "copy.bmp").write_bytes(encoded(picture(3), "BMP"))
    result = audit(load(photos))
    (leak,) = result.faults
    assert leak.kind == "test images leaked"
    assert leak.said == "1 test image (7.7 %) with a duplicate in train or val; 1 of them exact"
    assert leak.examples == ("test/cat/copy.bmp = train/cat/3.png",)
    assert result.leaked.sum() == 1
    assert result.files["test"][int(np.flatnonzero(result.leaked)[0])] == "test/cat/copy.bmp"


@pytest.mark.parametrize("change", ["jpeg", "brighter", "smaller", "shifted"])
def test_a_near_copy_is_a_leak_too(photos, change):
    original = picture(3)
    changed = {
        "jpeg": encoded(original, "JPEG", quality=60),
        "brighter": encoded(ImageEnhance.Brightness(original).enhance(1.15), "PNG"),
        "smaller": encoded(original.resize((32, 24)), "PNG"),
        "shifted": encoded(original.transform(original.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)), "PNG"),
    }
    (photos / "test" / "cat" / "near").write_bytes(changed[change])
    leak = found(photos)["test images leaked"]
    assert (leak.count, leak.examples) == (1, ("test/cat/near = train/cat/3.png",))
    assert "0 of them exact" in leak.said


def test_copies_within_a_split_and_labels_that_disagree_are_told(photos):
    (photos / "train" / "dog" / "copy.png").write_bytes(encoded(picture(3), "PNG"))
    findings = found(photos)
    assert findings["exact duplicates"].examples == ("train/dog/copy.png = train/cat/3.png",)
    assert findings["labels disagree"].examples == ("train/dog/copy.png (dog) = train/cat/3.png (cat)",)


def test_pictures_of_one_colour_are_not_taken_for_duplicates(photos):
    for place, colour in enumerate(("black", "white", "grey", "red")):
        (photos / "test" / "cat" / f"flat-{place}.png").write_bytes(encoded(Image.new("RGB", (40, 30), colour), "PNG"))
    assert "near duplicates" not in found(photos) and "test images leaked" not in found(photos)


def test_unreadable_files_are_told_with_path_and_reason(photos):
    (photos / "train" / "cat" / "broken.jpg").write_bytes(encoded(picture(999), "JPEG")[:300])
    finding = found(photos, max_bad=0.1)["unreadable"]
    assert finding.count == 1
    assert finding.examples[0].startswith("train/cat/broken.jpg: damaged")


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        ("crop", "most of them is cut off"),
        ("stretch", "much distorted"),
        ("letterbox", "much of their square is border"),
    ],
)
def test_tiny_and_long_pictures_are_told_and_what_the_fit_does_to_them(photos, fit, said):
    (photos / "train" / "cat" / "tiny.png").write_bytes(encoded(picture(4000, 20, 16), "PNG"))
    (photos / "train" / "cat" / "long.png").write_bytes(encoded(picture(4001, 200, 40), "PNG"))
    findings = found(photos, fit=fit)
    assert findings["tiny"].examples == ("train/cat/tiny.png: 20 x 16",)
    assert findings["odd shapes"].examples == ("train/cat/long.png: 200 x 40",)
    assert findings["odd shapes"].said.endswith(said)


def test_a_class_three_times_as_large_as_another_is_told(photos):
    plant(photos / "train", {"dog": 36}, first_seed=3000)
    assert found(photos)["imbalance"].said.startswith(
        "'dog' has 3.0 times as many training images as 'cat' (36 and 12)"
    )


def test_what_was_converted_is_told_but_no_fault(photos):
    (photos / "train" / "cat" / "grey.png").write_bytes(encoded(picture(999).convert("L"), "PNG"))
    (photos / "train" / "cat" / "cmyk.jpg").write_bytes(encoded(picture(998).convert("CMYK"), "JPEG"))
    (photos / "train" / "cat" / ".DS_Store").write_bytes(b"x")
    result = audit(load(photos))
    assert result.faults == []
    assert [finding.kind for finding in result.findings] == ["grey", "CMYK", "ignored"]


def test_arrays_are_audited_by_their_place_in_a_split():
    images = np.stack([np.asarray(picture(seed, 32, 32)) for seed in range(24)])
    images[20] = images[1]
    splits = ["train"] * 14 + ["val"] * 4 + ["test"] * 6
    result = audit(hs.from_arrays(images, np.arange(24) % 2, ["a", "b"], splits=splits))
    leak = next(finding for finding in result.findings if finding.kind == "test images leaked")
    assert leak.examples == ("test image 2 = train image 1",)


def test_what_stops_training_is_told_with_all_else_causes_first(photos):
    (photos / "train" / "bird").mkdir()
    plant(photos / "train", {"Dog": 3}, first_seed=5000)
    (photos / "train" / "cat" / "broken.jpg").write_bytes(b"")
    (photos / "test" / "cat" / "copy.bmp").write_bytes(encoded(picture(3), "BMP"))
    result = hs.check(photos)
    assert [finding.kind for finding in result.faults] == [
        "classes alike",
        "unreadable",
        "empty class",
        "classes missing in val",
        "classes missing in test",
        "test images leaked",
        "imbalance",
        "few images",
    ]
    marks = [line.split()[0] for line in result.lines(examples=0)]
    assert marks == ["!", "!", "!!", "!!", "!!", "!", "!", "!"]


def test_where_no_image_can_be_read_the_reason_is_told(tmp_path, capsys):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"")
    printed, saved = (said_by(["check", str(tmp_path), *more], False, capsys) for more in ([], ["--json"]))
    assert "2 files cannot be read" in printed
    assert "!! class 'cat' has no image: none of its 1 file can be read" in printed
    assert json.loads(saved)["findings"][-1]["stops"]


def test_lines_fit_a_terminal_as_far_as_paths_do(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    plant(photos / "train", {"Dog": 3, "a class with a name that takes a whole line of any terminal by itself": 3})
    (photos / "train" / "cat" / "page.jpg").write_bytes(b"\0\0\0\x18ftypheic")
    result = hs.check(photos.name)
    lines = "\n".join([*result.summary, *result.lines(examples=3, width=80)]).splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) > 10


def said_by(arguments, clean, capsys) -> str:
    if clean:
        main(arguments)
    else:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 1
    return capsys.readouterr().out


@pytest.mark.parametrize("clean", [True, False])
def test_the_command_says_it_and_exits_by_it(photos, clean, capsys):
    (photos / "train" / "cat" / "notes.txt").write_text("mine")
    if not clean:
        (photos / "test" / "cat" / "copy.bmp").write_bytes(encoded(picture(3), "BMP"))
    printed, saved = (said_by(["check", str(photos), *more], clean, capsys) for more in ([], ["--json"]))
    assert "1 left aside: not images by their ending" in printed
    assert ("test/cat/copy.bmp = train/cat/3.png" in printed) is not clean
    assert ("nothing wrong was found" in printed) is clean
    assert "  classes   cat: " in printed and "  splits    train 24, val 8, test 1" in printed
    saved = json.loads(saved)
    assert len(saved["findings"]) == (1 if clean else 2)
    assert saved["leaked_test_images"] == ([] if clean else [6])
