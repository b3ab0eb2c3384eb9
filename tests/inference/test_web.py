"""The page that is exported: what stands in it, and what it does in headless Chromium, from a file, the network cut."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_page import corner_graph, expected, jpeg_of, make_run, picture

from headstart.data.decode import decode
from headstart.errors import HeadstartError
from headstart.evaluation.selective import Answered
from headstart.evaluation.statistics import accuracy_interval
from headstart.inference import ort_web, web
from headstart.inference.classifier import Classifier
from headstart.inference.export import about_of
from headstart.inference.unsure import Sureness
from headstart.results import runs
from headstart.results.files import write_json

pytest.importorskip("onnx", reason="onnx is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = ("</script><img src=x onerror=alert(1)>", '"quoted" & <b>', "blue")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small files in place of onnxruntime-web."""
    parts = {
        ort_web.SCRIPT: b"var a=1;export{a as Tensor,a as default};\n//# sourceMappingURL=x.map\n",
        ort_web.WASM: b"wasm",
    }
    monkeypatch.setattr(web, "runtime", lambda offline: parts)


def page_of(run: runs.Run) -> str:
    return web.page_alone(run, corner_graph(), about_of(run, Classifier.load(run.folder)))


def test_the_page_holds_the_very_network_that_was_exported(tmp_path, stand_ins):
    file = tmp_path / "page.html"
    file.write_text(page_of(make_run(tmp_path / "corners-1")), encoding="utf-8")
    assert web.network_of(file) == corner_graph()
    file.write_text(file.read_text(encoding="utf-8").replace('id="network">H4', 'id="network">A4'), encoding="utf-8")
    with pytest.raises(HeadstartError, match="no page with a network inside"):
        web.network_of(file)


def test_it_says_how_good_it_is_and_shows_as_many_test_pictures_of_each_class_as_there_are(tmp_path, stand_ins):
    run = make_run(tmp_path / "corners-1")
    page = page_of(run)
    assert "Measured accuracy: 85.8 % (95 % interval 69.0 to 94.3), on 6 test pictures" in page
    assert [it.label for it in web.examples_of(run)] == ["red", "green", "blue", "blue"]


def test_of_folds_it_says_that_this_network_was_tested_by_none_of_them(tmp_path):
    run = make_run(tmp_path / "corners-1")
    said = dict(runs.read_beside(tmp_path / "corners-1", runs.COMPARISON))
    write_json(tmp_path / "corners-1" / runs.COMPARISON, said | {"dataset": {**said["dataset"], "folds": 5}})
    seen = "in 5 folds on 6 pictures that the networks had not seen; this network"
    assert web.measured(run).endswith(f"{seen} is one of those.")
    data = {**run.config["dataset"], "tested": 0}
    write_json(run.folder / runs.CONFIG, run.config | {"dataset": data})
    assert web.measured(runs.Run(run.folder)).endswith(f"{seen} was trained on all of them.")


@pytest.mark.parametrize("leaked, images", [(2, 4), (6, 6)])
def test_images_that_leaked_are_not_counted_among_those_that_it_had_not_seen(leaked, images, tmp_path):
    run = make_run(tmp_path / "corners-1")
    said = dict(runs.read_beside(tmp_path / "corners-1", runs.COMPARISON))
    write_json(tmp_path / "corners-1" / runs.COMPARISON, said | {"leaked_test_images": leaked})
    assert web.measured(run).endswith(f", on {images} test pictures that it had not seen.")


def test_without_a_comparison_it_says_what_the_run_says_and_shows_no_pictures(tmp_path):
    run = make_run(tmp_path / "corners-1")
    (tmp_path / "corners-1" / runs.COMPARISON).unlink()
    (tmp_path / "corners-1" / runs.EXAMPLES).unlink()
    assert web.measured(run) == "Measured: 87.5 % right."
    assert web.examples_of(run) == []


def test_names_from_outside_are_text_and_nothing_is_loaded(tmp_path, stand_ins):
    page = page_of(make_run(tmp_path / "corners-1", HOSTILE))
    assert HOSTILE[0] not in page
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    assert page.count("<script") == page.count("</script>") == 4


def test_what_runs_it_comes_from_a_tarball_in_the_cache_only_where_it_is_the_very_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    with pytest.raises(HeadstartError, match=r"--offline was given: where npm works, `npm pack onnxruntime-web@1\.30"):
        ort_web.runtime(offline=True)
    (tmp_path / "browser").mkdir()
    with tarfile.open(tmp_path / "browser" / "onnxruntime-web-1.30.0.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(f"package/dist/{ort_web.SCRIPT.name}"), io.BytesIO())
    with pytest.raises(HeadstartError, match=r"ort\.wasm\.bundle\.min\.mjs in .* has SHA-256 e3b0c442"):
        ort_web.runtime(offline=True)


def test_without_npm_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HeadstartError, match="npm is not installed; where npm works, `npm pack"):
        ort_web.runtime()


# In a browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, with_users_cache: Callable[..., None]) -> Path:
    """The page of a run that tells colours by the upper left corner."""
    with pytest.MonkeyPatch.context() as patch:
        with_users_cache(patch)
        try:
            ort_web.runtime()
        except HeadstartError as error:
            pytest.skip(str(error))
        file = tmp_path_factory.mktemp("page") / "page.html"
        run = make_run(file.parent / "corners-1", novelty=True)
        about = about_of(run, Classifier.load(run.folder))
        least = Sureness(0.9, 0.6, "val", Answered(100, 60, None), Answered(50, 25, accuracy_interval(24, 25)))
        about["predict"] |= {"sureness": [least.as_json()]}
        file.write_text(web.page_alone(run, corner_graph(), about), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser, page_file) -> Iterator[object]:
    """The page, ready; all tests share it, and the last one's answers are cleared."""
    complaints: list[str] = []
    page = browser.new_context(offline=True, viewport=PHONE).new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda asked: complaints.append(asked.url) if asked.url[:5] not in ("file:", "data:", "blob:") else 0
    )
    page.goto(page_file.as_uri())
    page.locator("body[data-ready]").wait_for()
    yield page
    assert complaints == []


Give = Callable[..., object]


@pytest.fixture
def give(opened, tmp_path) -> Iterator[Give]:
    """A function that gives the page a file, and returns its card when it has an answer."""
    from playwright.sync_api import expect

    def give(name: str, content: bytes) -> object:
        (tmp_path / name).write_bytes(content)
        cards = opened.locator(".answer")
        before = cards.count()
        opened.set_input_files("#files", tmp_path / name)
        expect(cards).to_have_count(before + 1)
        expect(cards.first).not_to_have_class(re.compile("waiting"))
        return cards.first

    yield give
    opened.click("#clear")


def probabilities(card) -> np.ndarray:
    return np.array(json.loads(card.get_attribute("data-probabilities")))


def file_of(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


@pytest.mark.parametrize("turned", range(1, 9))
def test_a_photo_is_upright_as_python_has_it(give, turned):
    exif = Image.Exif()
    exif[0x0112] = turned
    content = jpeg_of(picture("red", "green", "blue", "green"), exif=exif)
    assert np.abs(probabilities(give("turned.jpg", content)) - expected(decode(content).pixels)).max() < 0.01


@pytest.mark.parametrize(("kind", "how"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_transparent_pixels_are_white_as_python_has_them(give, kind, how):
    image = picture("red", "green", "blue", "green")
    image.putalpha(100)
    content = file_of(image, kind, **how)
    assert np.abs(probabilities(give(f"pale.{kind}", content)) - expected(decode(content).pixels)).max() < 0.01


def test_an_answer_has_the_class_its_bars_and_its_doubts(give):
    sure = give("red.png", file_of(picture(*["red"] * 4), "PNG"))
    assert sure.locator("h3").inner_text() == "red"
    assert sure.locator(".bars li").first.inner_text().split() == ["red", "97", "%"]
    assert not sure.locator(".doubt").is_visible()
    grey = give("grey.png", file_of(Image.new("RGB", (30, 20), (90, 90, 90)), "PNG"))
    assert grey.locator(".doubt").inner_text() == "Unsure: below 60 %. Unlike the pictures that it was trained on."
    assert grey.locator("h3").inner_text().endswith("?")


def test_the_page_explains_when_it_is_unsure_and_how_often_it_is_wrong_about_that(opened):
    said = opened.locator("main").inner_text()
    assert "Answers below 60 % are marked unsure, so that of the others at least 90 % are right: on test" in said
    assert "96.0 %, of the 50.0 % that it answers." in said
    assert "falsely, 0.0 % of test pictures are." in said


def test_what_is_no_picture_is_refused_in_a_line_and_the_next_is_answered(give, opened):
    assert "reads no picture in words.jpg" in give("words.jpg", b"no picture").inner_text()
    assert give("blue.bmp", file_of(picture(*["blue"] * 4), "BMP")).locator("h3").inner_text() == "blue"
    assert opened.locator(".answer").count() == 2


def test_a_test_picture_can_be_clicked_and_says_its_label(give, opened):
    opened.locator(".examples button").nth(1).click()
    opened.locator(".answer:not(.waiting)").wait_for()
    assert "its label is green" in opened.locator(".answer").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_fault_and_nothing_stands_out_sideways(give, opened, viewport, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    opened.set_viewport_size(viewport)
    opened.emulate_media(color_scheme=scheme)
    give("grey.png", file_of(Image.new("RGB", (30, 20), (90, 90, 90)), "PNG"))
    assert opened.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    faults = axe.Axe().run(opened).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []


def test_names_from_outside_do_not_run(browser, page_file, tmp_path, users_cache):
    run = make_run(tmp_path / "corners-1", HOSTILE)
    (tmp_path / "hostile.html").write_text(page_of(run), encoding="utf-8")
    page = browser.new_context(offline=True).new_page()
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.goto((tmp_path / "hostile.html").as_uri())
    page.locator("body[data-ready]").wait_for()
    page.locator(".examples button").first.click()
    page.locator(".answer:not(.waiting)").wait_for()
    assert page.locator(".answer h3").inner_text() == HOSTILE[0]
    assert asked == []
