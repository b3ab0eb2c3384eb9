from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from small_data import CLASS_NAMES, coloured_part, dataset_of

import headstart as hs
from headstart.cli import main
from headstart.errors import HeadstartError
from headstart.inference import formats
from headstart.inference.answers import UNLIKE
from headstart.inference.classifier import Classifier
from headstart.inference.export import beside, export
from headstart.inference.exported import Exported
from headstart.inference.formats import FORMATS, open_file, read_torch
from headstart.inference.predict import Trained, predict
from headstart.inference.quantised import Loss, difference, refuse
from headstart.models import build
from headstart.results import runs
from headstart.results.checksums import write_checksums
from headstart.results.files import write_json
from headstart.results.verification import changed_files, verify

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def data():
    return dataset_of("noise", CLASS_NAMES, *(coloured_part(40, 24, seed) for seed in range(3)))


def run_of(comparison, data, folds=False):
    """A finished comparison of one run, with an untrained network; after folds the classifier to take home alone."""
    torch.manual_seed(0)
    network, spec = build.from_scratch("base-cnn", data.train.images, len(CLASS_NAMES))
    classifier = Classifier(network, CLASS_NAMES, (24, 16), 1.5, "crop")
    folder = comparison / runs.CLASSIFIER if folds else runs.run_folder(comparison, "base-cnn", "holdout", 0)
    folder.mkdir(parents=True)
    classifier.save(folder / runs.MODEL)
    about = {"name": "noise", "source": "nowhere", "fingerprint": data.fingerprint, "class_names": list(CLASS_NAMES)}
    about["tested"] = 0 if folds else len(data.test)
    config = {"schema": 2, "candidate": "base-cnn", "split": "holdout", "dataset": about, "network": spec}
    write_json(folder / runs.CONFIG, config | {"sides": [24, 16], "fit": "crop"})
    if not folds:
        squares = np.stack([classifier.square(image) for image in data.test.images])
        logits = classifier.logits(squares).numpy()
        tested = logits, data.test.labels
        runs.write_predictions(folder, CLASS_NAMES, test=tested, val=tested)
    write_checksums(comparison)
    return folder


@pytest.fixture
def run(tmp_path, data):
    return run_of(tmp_path / "noise-1", data)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, data):
    """An ONNX file in a finished comparison."""
    return export(run_of(tmp_path_factory.mktemp("runs") / "noise-1", data), data=data)


def test_an_export_says_of_photos_of_any_shape_what_the_classifier_says(exported):
    run, about = open_file(exported)
    classifier = Classifier.load(exported.parents[1])
    for shape in [(24, 24), (90, 20), (31, 77)]:
        photos = np.random.default_rng(0).integers(0, 256, (3, *shape, 3), dtype=np.uint8)
        assert np.allclose(run(photos)[0], classifier.predict_proba(photos), atol=1e-5)
    assert about["class_names"] == list(CLASS_NAMES)
    assert about["opset"] == formats.OPSET


def test_what_was_found_lies_beside_it_and_the_folders_checksums_vouch_for_both(exported):
    found = json.loads(beside(exported).read_text(encoding="utf-8"))
    assert (found["parity"]["images"], found["parity"]["differ"], found["parity"]["agreement"]) == (40, 0, 1)
    assert found["bytes"] == exported.stat().st_size
    comparison = exported.parents[3]
    assert changed_files(comparison) == []
    kept = beside(exported).read_bytes()
    beside(exported).write_bytes(kept + b" ")
    assert "exports/base-cnn.onnx.json is not as it was written" in "".join(changed_files(comparison))
    beside(exported).write_bytes(kept)


def test_a_list_of_checksums_that_is_not_of_a_comparison_is_left_alone(run, data, tmp_path):
    (others := tmp_path / "SHA256SUMS").write_text("0123 *image.iso\n")
    assert export(run, data=data, output=tmp_path / "m.onnx").is_file()
    assert others.read_text() == "0123 *image.iso\n"


def test_nothing_is_overwritten(exported, data):
    with pytest.raises(HeadstartError, match="is there already, and nothing is overwritten"):
        export(exported.parents[1], data=data)


def test_a_file_of_a_newer_headstart_is_refused_in_a_line(exported, tmp_path):
    model = onnx.load(exported)
    for entry in model.metadata_props:
        entry.value = json.dumps(json.loads(entry.value) | {"schema": formats.SCHEMA + 1})
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(HeadstartError, match="was written by a newer headstart"):
        open_file(tmp_path / "newer.onnx")


def test_a_program_of_torch_says_the_same_and_is_opened_for_nobody_else(tmp_path, data):
    file = export(run_of(tmp_path / "noise-1", data, folds=True), "torch", tmp_path / "here" / "noise.pt2", data)
    found = json.loads(beside(file).read_text(encoding="utf-8"))["parity"]
    assert (found["images"], found["measured"], found["of_measured"]) == (len(data), False, None)
    photos = np.random.default_rng(0).integers(0, 256, (2, 50, 20, 3), dtype=np.uint8)
    expected = Classifier.load(tmp_path / "noise-1" / runs.CLASSIFIER).predict_proba(photos)
    assert np.allclose(read_torch(file)[0](photos)[0], expected, atol=1e-5)
    with pytest.raises(HeadstartError, match=r"their names end in \.onnx"):
        open_file(file)


def test_openvinos_two_files_say_the_same_of_photos_of_any_number_and_shape(run, data):
    pytest.importorskip("openvino")
    file = export(run, "openvino", data=data)
    assert {each.name for each in file.parent.iterdir()} == {"base-cnn.xml", "base-cnn.bin", "base-cnn.xml.json"}
    says, about = open_file(file)
    classifier = Classifier.load(run)
    for number, *shape in [(3, 24, 24), (1, 90, 20), (5, 31, 77), (3, 90, 20)]:
        photos = np.random.default_rng(0).integers(0, 256, (number, *shape, 3), dtype=np.uint8)
        assert np.allclose(says(photos)[0], classifier.predict_proba(photos), atol=1e-5)
    assert (about["class_names"], about["opset"]) == (list(CLASS_NAMES), formats.OPSET)
    assert changed_files(run.parents[1]) == []
    file.with_suffix(".bin").write_bytes(b"others")
    assert "exports/base-cnn.bin is not as it was written" in "".join(changed_files(run.parents[1]))


def test_eight_bits_are_smaller_and_say_what_they_cost(exported, data, tmp_path):
    run = exported.parents[1]
    file = export(run, output=tmp_path / "small.onnx", data=data, int8=True, max_loss=100)
    assert file.stat().st_size < 0.5 * exported.stat().st_size
    small, whole = (open_file(each)[1] for each in (file, exported))
    assert small["int8"] and "int8" not in whole
    assert {"QuantizeLinear", "DequantizeLinear"} <= {each.op_type for each in onnx.load(file).graph.node}
    found = json.loads(beside(file).read_text(encoding="utf-8"))
    assert (found["int8"]["calibrated_on"], found["int8"]["held_out"]) == ("val", True)
    assert found["int8"]["bytes"] == found["bytes"] == file.stat().st_size
    assert small["predict"] != whole["predict"]  # by what it says itself
    photos = np.random.default_rng(0).integers(0, 256, (2, 50, 20, 3), dtype=np.uint8)
    assert np.allclose(open_file(file)[0](photos)[0], Classifier.load(run).predict_proba(photos), atol=0.05)


def test_a_file_that_its_json_does_not_tell_of_is_found_though_its_checksum_is_made_anew(run, data):
    file = export(run, data=data)
    comparison = run.parents[1]
    write_json(run / runs.METRICS, {"schema": 2})
    assert not [each for each in verify(comparison) if "exports" in each]
    file.write_bytes(b"another network")
    write_json(beside(file), json.loads(beside(file).read_text(encoding="utf-8")) | {"weights_sha256": "0"})
    write_checksums(comparison)
    assert [each for each in verify(comparison) if "exports" in each] == [
        "base-cnn/holdout-seed0/exports/base-cnn.onnx is not the file that base-cnn.onnx.json tells of",
        "base-cnn/holdout-seed0/exports/base-cnn.onnx was made of other weights than those that lie here",
    ]


def loss_of(before, after, data):
    about = dict.fromkeys(("calibration_images", "bytes_fp32", "bytes", "latency_ms_fp32", "latency_ms"), 1)
    return Loss(held_out=True, calibrated_on="val", allowed=0.005, **about, **difference(before, after, data.test))


def test_accuracy_lost_is_that_of_pairs_and_more_than_is_allowed_is_refused_in_a_line(data):
    right = np.eye(len(CLASS_NAMES))[data.test.labels]
    wrong = right.copy()
    wrong[:8] = np.roll(wrong[:8], 1, axis=1)  # 8 of 40
    loss = loss_of(right, wrong, data)
    assert (loss.accuracy_fp32, loss.accuracy, loss.agreement) == (1, 0.8, 0.8)
    assert loss.lost == pytest.approx(0.2)
    assert 0 < loss.low < loss.lost < loss.high
    with pytest.raises(HeadstartError, match=r"8 bits lose 20\.00 points of accuracy .* on 40 images, 0\.5 allowed"):
        refuse(loss)
    refuse(loss_of(wrong, right, data))  # a gain


def test_a_file_of_eight_bits_that_loses_too_much_is_not_kept(run, data, monkeypatch):
    before = sorted(run.parents[1].rglob("*"))
    found = difference(np.eye(len(CLASS_NAMES))[data.test.labels], np.ones((40, len(CLASS_NAMES))), data.test)
    monkeypatch.setattr("headstart.inference.export.difference", lambda *_: found)
    with pytest.raises(HeadstartError, match="--max-loss allows more"):
        export(run, data=data, int8=True)
    assert sorted(run.parents[1].rglob("*")) == before
    with pytest.raises(HeadstartError, match="--int8 is of onnx"):
        export(run, "torch", data=data, int8=True)
    with pytest.raises(HeadstartError, match="is not a number of points"):
        export(run, data=data, int8=True, max_loss="half")


def swapped(network):
    first = next(module for module in network.modules() if hasattr(module, "std"))
    first.mean, first.std = first.std.clone(), first.mean.clone()


def perturbed(graph):
    with torch.no_grad():
        next(graph.parameters()).add_(0.02)


def test_predict_answers_by_an_exported_file_as_by_its_run(exported, tmp_path):
    for number, shape in enumerate([(24, 24), (90, 20), (31, 77)]):
        pixels = np.random.default_rng(number).integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    by_file, by_run = predict(exported, tmp_path), predict(exported.parents[1], tmp_path)
    assert by_file["label"].tolist() == by_run["label"].tolist()
    assert by_file["doubt"].tolist() == by_run["doubt"].tolist()
    assert np.allclose(by_file["probability"][:3], by_run["probability"][:3], atol=1e-5)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A run that keeps what tells when not to answer."""
    folder = tmp_path_factory.mktemp("runs") / "tiny-1"
    return hs.compare(tiny, ["base-cnn"], epochs=8, device="cpu", output=folder).runs[0]


@pytest.fixture(scope="module")
def knowing(trained, tiny):
    """It in an ONNX file."""
    return export(trained.folder, data=tiny)


def test_a_file_doubts_what_its_run_doubts(knowing, trained, tiny, tmp_path):
    strange = 255 * (np.indices((32, 32, 3)).sum(axis=0) % 2).astype(np.uint8)
    pale = (tiny.test.images[:9] // 8 + 110).astype(np.uint8)
    for number, pixels in enumerate([*tiny.test.images, *pale, strange]):
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    by_file, by_run = (predict(each, tmp_path, accuracy="80%") for each in (knowing, trained.folder))
    assert by_file["doubt"].tolist() == by_run["doubt"].tolist()
    assert by_file["doubt"].iloc[-1] == UNLIKE
    assert {"", UNLIKE} <= set(by_file["doubt"])
    least = Exported(knowing).sureness(0.8).least
    assert least == pytest.approx(Trained(trained.folder).sureness(0.8).least, abs=1e-5)


def test_its_flags_on_all_of_test_are_measured_anew(knowing, trained):
    found = json.loads(beside(knowing).read_text(encoding="utf-8"))
    flagged = (trained.novelty["test"] > found["predict"]["novelty"]["threshold"]).sum()
    assert (found["parity"]["flagged"], found["parity"]["flags_differ"]) == (flagged, 0)


def test_of_what_it_was_not_asked_before_it_takes_the_next_stricter_and_says_what_there_is(knowing):
    file = Exported(knowing)
    assert file.sureness(0.75) == file.sureness(0.8)
    assert 0.9**30 < 0.05 < 0.95**30  # what the 30 images of val can show if all of them are right
    with pytest.raises(HeadstartError, match="--accuracy 99%: of the accuracies that the file can promise at most 90%"):
        file.sureness(0.99)


def test_a_file_of_a_headstart_that_kept_nothing_of_doubt_answers_all_the_same(exported, tmp_path, tiny):
    model = onnx.load(exported)
    for entry in model.metadata_props:
        entry.value = json.dumps(json.loads(entry.value) | {"predict": {}})
    onnx.save(model, tmp_path / "older.onnx")
    Image.fromarray(tiny.test.images[0]).save(tmp_path / "photo.png")
    assert predict(tmp_path / "older.onnx", tmp_path / "photo.png")["doubt"].tolist() == [""]
    with pytest.raises(HeadstartError, match="for --accuracy name its run's folder"):
        predict(tmp_path / "older.onnx", tmp_path, accuracy="90%")


def test_a_file_that_flags_other_photos_is_refused(trained, tiny, tmp_path, writing_wrongly):
    writing_wrongly(lambda graph: graph.reference.neg_())
    with pytest.raises(HeadstartError, match=r"is not kept: .*30 flagged as unlike training's, \d+ not as measured"):
        export(trained.folder, output=tmp_path / "wrong.onnx", data=tiny)


@pytest.fixture
def writing_wrongly(monkeypatch):
    """Makes every file from here on that of a graph which was changed, run by torch."""

    def change(how):
        made = {}

        def write(graph, about, file, run):
            made["graph"], made["about"] = copy.deepcopy(graph), about
            how(made["graph"])
            file.write_bytes(b"a graph")

        def read(file):
            def run(pixels):
                with torch.no_grad():
                    return tuple(each.numpy() for each in made["graph"](torch.from_numpy(np.array(pixels))))

            return run, made["about"]

        monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write, read=read))

    return change


def test_a_file_of_the_right_network_passes_the_very_check_that_refuses_wrong_ones(run, data, writing_wrongly):
    writing_wrongly(lambda graph: None)
    assert export(run, data=data).exists()


@pytest.mark.parametrize("how", [swapped, perturbed])
def test_an_export_that_says_something_else_is_refused_and_nothing_of_it_is_kept(run, data, writing_wrongly, how):
    before = sorted(run.parents[1].rglob("*"))
    writing_wrongly(how)
    with pytest.raises(
        HeadstartError, match=r"is not kept: 40 images: .*probabilities differ by up to .*0\.001 allowed"
    ):
        export(run, data=data)
    assert sorted(run.parents[1].rglob("*")) == before


def test_weights_that_are_not_those_that_were_measured_are_not_exported(run, data, writing_wrongly):
    writing_wrongly(lambda graph: None)
    logits, labels, _ = runs.Run(run).predictions()
    runs.write_predictions(run, CLASS_NAMES, test=(-logits, labels), val=(logits, labels))
    with pytest.raises(HeadstartError, match="the classifier itself, in fp32, gives only"):
        export(run, data=data)


def test_images_that_are_gone_or_others_are_told_in_a_line(run, data, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run)])
    assert ended.value.code == 2
    assert "name the place of those data with --data" in capsys.readouterr().err
    other = dataset_of("other", CLASS_NAMES, *(coloured_part(40, 24, seed) for seed in range(3, 6)))
    with pytest.raises(HeadstartError, match=r"is not what .* was tested on: its fingerprint is"):
        export(run, data=other)


def test_a_missing_package_and_a_wrong_name_are_told_before_anything_is_read(run, data, monkeypatch):
    with pytest.raises(HeadstartError, match=r"ends in \.onnx"):
        export(run, output=run / "classifier.pt2", data=data)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HeadstartError, match=r"onnxscript and onnxruntime: pip install 'headstart\[export\]'"):
        export(run, data=data)


def test_what_another_precision_says_of_too_many_images_is_refused_and_told(run, data, writing_wrongly):
    writing_wrongly(lambda graph: None)
    logits, labels, _ = runs.Run(run).predictions()
    logits[0] = np.roll(logits[0], 1)
    runs.write_predictions(run, CLASS_NAMES, test=(logits, labels), val=(logits, labels))
    with pytest.raises(HeadstartError, match=r"in fp32, gives only 97\.5% of them the class that was measured"):
        export(run, data=data)
