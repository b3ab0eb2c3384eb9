"""The page in a real browser: headless Chromium, started from a file, the network cut."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_runs import HOSTILE

from headstart import theme
from headstart.data.dataset import Dataset
from headstart.results import runs
from headstart.results.comparison import Comparison

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAPER = {"width": 703, "height": 1032}  # A4 without margins, in the pixels of a page
Open = Callable[..., "playwright.Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        options = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: playwright.Browser) -> Iterator[Open]:
    """A function that opens a file; the test fails where the page complains, asks for anything or shows a dialog."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: Path, viewport: dict[str, int] = DESK, **options: object) -> playwright.Page:
        context = browser.new_context(offline=True, viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url[:5] not in ("file:", "data:") else 0)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def report(whole: tuple[Comparison, Dataset]) -> Path:
    return whole[0].folder / runs.REPORT


@pytest.fixture(scope="module")
def hostile_report(hostile: tuple[Comparison, Dataset]) -> Path:
    return hostile[0].folder / runs.REPORT


@pytest.fixture(scope="module")
def report_of_ten(ten: tuple[Comparison, Dataset]) -> Path:
    return ten[0].folder / runs.REPORT


def first_column(table: playwright.Locator) -> list[str]:
    return [text.split()[0] for text in table.locator("tbody th").all_inner_texts()]


def test_the_page_opens_from_a_file_with_the_network_cut_and_without_complaint(open_page: Open, report: Path):
    page = open_page(report)
    assert page.locator("h1").inner_text().startswith("Take ")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert page.locator("img").count() > 50


def test_a_click_on_a_heading_sorts_the_table_the_better_end_first(open_page: Open, report: Path):
    page = open_page(report)
    table = page.locator("table.sortable", has_text="What they cost.")
    heading = table.locator("th", has_text="Time to fit")
    assert first_column(table) == ["base-cnn", "deep-cnn", "frozen", "last20"]
    heading.locator("button").click()
    assert first_column(table) == ["frozen", "base-cnn", "last20", "deep-cnn"]
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert first_column(table) == ["deep-cnn", "last20", "base-cnn", "frozen"]
    assert heading.get_attribute("aria-sort") == "descending"


def test_the_keyboard_sorts_too_and_one_column_at_a_time(open_page: Open, report: Path):
    page = open_page(report)
    table = page.locator("table.sortable", has_text="How good they are")
    for heading in ("Strategy", "Accuracy"):
        table.locator("th", has_text=heading).locator("button").focus()
        page.keyboard.press("Enter")
    sorted_by = table.locator("th[aria-sort]")
    assert sorted_by.all_inner_texts() == ["Accuracy"]
    assert sorted_by.get_attribute("aria-sort") == "descending"
    shares = [float(text.split()[0]) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)


def test_hovering_a_confusion_cell_shows_what_it_counts_and_its_images(open_page: Open, report: Path):
    page = open_page(report)
    matrix = page.locator(".matrix").first
    mistake = matrix.locator(".cell:not(.right):not(.shown)").filter(has_text="1").last
    cell = matrix.locator(f".cell[data-cell='{mistake.get_attribute('data-cell')}']")
    cell.hover()
    assert matrix.locator(".words").inner_text() == cell.get_attribute("aria-label")
    shown = matrix.locator(".shots img")
    assert 1 <= shown.count() <= 3
    assert shown.first.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 8
    assert cell.get_attribute("aria-label") in shown.first.get_attribute("alt")
    assert matrix.locator(".shown").count() == 1


def test_a_matrix_is_one_stop_of_the_tab_key_and_arrows_go_from_cell_to_cell(open_page: Open, report: Path):
    page = open_page(report)
    matrix = page.locator(".matrix").first
    assert matrix.locator(".cell[tabindex='0']").count() == 1
    start = matrix.locator(".shown").get_attribute("data-cell")
    row, column = map(int, start.split(","))
    matrix.locator(".shown").focus()
    page.keyboard.press("ArrowUp" if row else "ArrowDown")
    there = f"{row - 1 if row else 1},{column}"
    assert page.evaluate("document.activeElement.dataset.cell") == there
    assert matrix.locator(".shown").get_attribute("data-cell") == there
    assert matrix.locator(".cell[tabindex='0']").count() == 1
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.cell").endswith(",0")


def test_a_tap_shows_a_cell_on_a_phone(open_page: Open, report: Path):
    page = open_page(report, PHONE, has_touch=True)
    matrix = page.locator(".matrix").last
    cell = matrix.locator(".cell.right").first
    cell.tap()
    assert "classified rightly" in matrix.locator(".words").inner_text()
    assert matrix.locator(".shots img").count() == 0


@pytest.mark.parametrize("viewport", [DESK, PHONE, PAPER], ids=["desk", "phone", "paper"])
@pytest.mark.parametrize(("which", "charts"), [("report", 8), ("hostile_report", 7), ("report_of_ten", 8)])
def test_nothing_stands_out_of_the_page_sideways_and_no_table_is_wider_than_it(
    open_page: Open, request: pytest.FixtureRequest, which: str, charts: int, viewport: dict[str, int]
):
    page = open_page(request.getfixturevalue(which), viewport)
    page.emulate_media(media="print" if viewport is PAPER else "screen")
    for details in page.locator("details").all():
        details.evaluate("(it) => it.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    wider = "[...document.querySelectorAll('table')].filter((it) => it.offsetWidth > it.parentNode.clientWidth + 1)"
    assert page.evaluate(f"{wider}.map((it) => it.innerText.slice(0, 60))") == []
    shown = page.locator(".chart svg:visible")
    widths = [round(box["width"]) for box in (chart.bounding_box() for chart in shown.all())]
    assert len(widths) == charts  # two start pre-trained, or one
    assert max(widths) < viewport["width"]


def test_of_many_candidates_a_row_is_a_block_on_a_phone_and_every_number_says_what_it_is(
    open_page: Open, report_of_ten: Path
):
    page = open_page(report_of_ten, PHONE)
    table = page.locator("table.sortable", has_text="What they cost.")
    cell = table.locator("tbody td").first
    title = table.locator("thead th").nth(1).inner_text().split("\n")[0]
    assert cell.evaluate("(it) => getComputedStyle(it, '::before').content") == f'"{title}"'
    before = first_column(table)
    table.locator("th", has_text="Time to fit").locator("button").click()
    assert first_column(table) != before


@pytest.mark.parametrize(("scheme", "colours"), [("light", theme.LIGHT), ("dark", theme.DARK)])
def test_charts_follow_light_and_dark(open_page: Open, report: Path, scheme: str, colours: dict[str, str]):
    page = open_page(report, color_scheme=scheme)

    def fill(text: str) -> str:
        letters = page.locator("#accuracy_vs_time .wide text", has_text=text).first
        return letters.evaluate("(text) => getComputedStyle(text).fill")

    for text, name in (("accuracy on test", "muted"), ("base-cnn", "candidate-blue"), ("last20", "candidate-magenta")):
        red, green, blue = bytes.fromhex(colours[name][1:])
        assert fill(text) == f"rgb({red}, {green}, {blue})"


def test_paper_is_light_whatever_the_screen_and_shows_what_was_folded(open_page: Open, report: Path):
    page = open_page(report, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.get_by_text("passes over the training images").is_visible()
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_heat_map_stands_right_of_its_image_as_large_as_it(
    open_page: Open, report: Path, viewport: dict[str, int], media: str
):
    page = open_page(report, viewport)
    page.emulate_media(media=media)
    for block in (".pairs", ".gallery"):
        shot = page.locator(f"#images {block} .shot").first
        image, heat = (each.bounding_box() for each in shot.locator("img").all())
        assert (image["y"], image["width"], image["height"]) == (heat["y"], heat["width"], heat["height"])
        assert 0 < heat["x"] - image["x"] - image["width"] < 8
        box = shot.bounding_box()
        assert heat["x"] + heat["width"] <= box["x"] + box["width"] + 0.5


def test_a_hostile_class_name_is_text_and_does_not_run(open_page: Open, hostile_report: Path):
    page = open_page(hostile_report)
    for cell in page.locator(".matrix .cell").all()[:16]:
        cell.hover()
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("th", has_text=HOSTILE[0]).count() > 0


def test_no_script_but_the_pages_own_is_let_run(browser: playwright.Browser, report: Path):
    page = browser.new_page(offline=True)
    page.goto(report.as_uri())
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'ran = 1'}))")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"ran = 1\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("typeof ran") == "undefined"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_or_critical_fault(open_page: Open, report: Path, scheme: str):
    page = open_page(report, color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("(it) => it.open = true")
    faults = axe.Axe().run(page).response["violations"]
    assert [
        (fault["id"], fault["nodes"][0]["html"], fault["nodes"][0]["failureSummary"])
        for fault in faults
        if fault["impact"] in ("serious", "critical")
    ] == []
