"""The book in a real browser: served and as files, wide and narrow, light and dark."""

import functools
import http.server
import json
import os
import re
import shutil
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

import made_up
from building import build

WIDTHS = (375, 1440)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def built_html(first_build):
    return first_build[0] / "first"


@pytest.fixture(scope="module")
def site(built_html):
    """The address of the built book, served on this machine."""
    handler = functools.partial(QuietHandler, directory=str(built_html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def pages(built_html):
    found = (path.relative_to(built_html) for path in built_html.rglob("*.html"))
    return sorted(path.as_posix() for path in found if path.parts[0] != "_static")


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        assert not os.environ.get("CI"), "no Chromium: what only a browser sees would go untested"
        pytest.skip("needs Chromium: apt-get install chromium")
    quiet = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open an address in a window of a width; return the page, its errors and what it asked for."""
    contexts = []

    def visit(address, width=1440, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page, errors, asked = context.new_page(), [], []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address, wait_until="load")
        return page, errors, asked

    yield visit
    for context in contexts:
        context.close()


def test_every_page_loads_alone_and_without_errors(visit, site, pages):
    for name in pages:
        _, errors, asked = visit(f"{site}/{name}")
        assert not errors, name
        assert not [url for url in asked if not url.startswith((site, "data:"))], name


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_scrolls_sideways(visit, site, pages, width):
    for name in pages:
        page, *_ = visit(f"{site}/{name}", width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize(
    ("width", "scheme"), [(1440, "light"), (1440, "dark"), (375, "light"), (375, "dark")]
)
def test_axe_finds_nothing_serious(visit, site, pages, width, scheme):
    for name in pages:
        page, *_ = visit(f"{site}/{name}", width, scheme)
        found = Axe().run(page).response["violations"]
        grave = [
            (finding["id"], finding["nodes"][0]["html"][:200])
            for finding in found
            if finding["impact"] in {"serious", "critical"}
        ]
        assert not grave, name


@pytest.mark.parametrize("width", WIDTHS)
def test_figures_and_captions_are_seen(visit, site, pages, width):
    captions, drawings = 0, 0
    for name in pages:
        page, *_ = visit(f"{site}/{name}", width)
        captions += page.locator("table[id^=table-] caption").count()
        for drawing in page.locator(".picture svg").all():
            assert drawing.bounding_box()["width"] > 100, name
            drawings += 1
        for image in page.locator(".bd-article img").all():
            assert image.evaluate("image => image.complete && image.naturalWidth > 0"), name
            assert image.bounding_box()["width"] > 20, name
    assert captions == 8
    assert drawings == 48


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_figures_stands_out(visit, site, scheme):
    """WCAG's contrast of small text: 4.5."""

    def read(page, expression):
        values = page.evaluate(expression)
        return [int(value) / 255 for value in re.findall(r"\d+", values)[:3]]

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for name in ("index", "calibration", "results/pets"):
        page, *_ = visit(f"{site}/{name}.html", scheme=scheme)
        text = read(page, "getComputedStyle(document.querySelector('.picture svg text')).fill")
        ground = read(page, "getComputedStyle(document.body).backgroundColor")
        dark, light = sorted([luminance(text), luminance(ground)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_the_overview_answers_in_one_screen(visit, site):
    page, *_ = visit(f"{site}/index.html")
    seen = ["h1", "table.overview", ".picture", "figcaption", "ul", 'a[href="reproduce.html"]']
    for part in seen:
        box = page.locator(f"article {part}").last.bounding_box()
        assert box["y"] + box["height"] <= 900, part
    assert "cells" in page.locator("article ul").last.inner_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_theme_switches(visit, site, width):
    page, *_ = visit(f"{site}/index.html", width)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for _ in range(3):  # auto, light, dark, in the theme's order
        page.locator(".theme-switch-button").first.click()
        if page.evaluate("document.documentElement.dataset.theme") == "dark":
            break
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_search_finds_a_page(visit, site):
    page, *_ = visit(f"{site}/search.html?q=mixup")
    page.locator("#search-results li a").first.wait_for()
    assert page.locator("#search-results li").count() >= 2


@pytest.mark.parametrize("width", WIDTHS)
def test_the_explorer_reacts_to_the_keyboard(visit, site, width):
    page, errors, _ = visit(f"{site}/explorer.html", width)
    summary = page.locator(".explorer-summary")
    before = summary.inner_text()
    page.locator("select[name=dataset]").focus()
    page.keyboard.press("ArrowDown")
    changed = summary.inner_text()
    assert changed != before
    page.locator("input[name=strength]").focus()
    page.keyboard.press("ArrowLeft")
    assert summary.inner_text() != changed
    assert not errors


def test_the_explorer_shows_what_is_chosen(visit, site):
    page, errors, _ = visit(f"{site}/explorer.html")
    everything = json.loads(page.locator(".explorer script").text_content())
    for dataset, data in everything.items():
        page.select_option("select[name=dataset]", dataset)
        for place, arm in enumerate(data["arms"]):
            page.select_option("select[name=arm]", str(place))
            for corruption, shift in data["shifts"].items():
                page.select_option("select[name=corruption]", corruption)
                for stop in (0, len(shift["stops"]) - 1):
                    page.locator("input[name=strength]").fill(str(stop))
                    _, condition = shift["stops"][stop]
                    shown = arm["conditions"][condition]
                    images = page.locator(".explorer-images img")
                    sources = [image.get_attribute("src") for image in images.all()]
                    assert sources == data["pictures"][condition]
                    answers = page.locator(".explorer-images figcaption").all_text_contents()
                    for (answer, confidence, _), text in zip(
                        shown["answers"], answers, strict=True
                    ):
                        assert f"{answer} {100 * confidence:.1f} %" in text
                    told = page.locator(".explorer-summary").text_content()
                    assert f"accuracy {shown['accuracy_percent'][0]:.1f} %" in told
                    assert f"error {shown['rms_calibration_error'][0]:.3f} (" in told
                    labels = page.locator(".explorer-plots svg").evaluate_all(
                        "plots => plots.map((plot) => plot.getAttribute('aria-label'))"
                    )
                    assert labels[0].startswith(f"Accuracy (%) of {arm['row']} by {shift['axis']}")
                    assert len(labels) == 3
    assert not errors


def test_tables_sort_by_the_keyboard(visit, site):
    page, *_ = visit(f"{site}/results/pathmnist.html")
    table = page.locator("#table-1")
    first = table.locator("tbody tr td:nth-child(2)").all_inner_texts()
    table.locator("th button").nth(1).focus()
    page.keyboard.press("Enter")
    after = table.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert sorted(after) == sorted(first)
    assert [float(text.split()[0]) for text in after] == sorted(
        float(text.split()[0]) for text in first
    )


def test_a_column_of_text_and_numbers_sorts_by_either(visit, site):
    page, *_ = visit(f"{site}/runs.html")
    table = page.locator("table.runs")
    for place, key in [(0, str), (7, lambda text: float(text.replace(",", "")))]:
        table.locator("th button").nth(place).click()
        found = table.locator(f"tbody tr > :nth-child({place + 1})").all_inner_texts()
        assert len(found) >= 18
        assert [key(text) for text in found] == sorted(map(key, found))


def test_the_whole_book_prints_from_one_page(first_build, visit, tmp_path):
    """What `nox -s pdf` does."""
    leave = shutil.ignore_patterns("_build", "runs")
    shutil.copytree(first_build[0] / "book", tmp_path / "one/book", ignore=leave)
    made_up.write_records(tmp_path / "one/results", "made_up")
    done, _ = build(tmp_path / "one", "--builder", "singlehtml")
    assert done.returncode == 0, done.stdout + done.stderr
    page, *_ = visit((tmp_path / "one/book/_build/singlehtml/index.html").as_uri())
    assert page.locator("table[id^=table-] caption").count() == 8
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", printed)) > 30
    assert b"/URI (http" in printed
    assert b"/URI (file:" not in printed  # of the machine that made it


def test_groups_of_rows_sort_by_themselves(visit, site):
    """A group's head, a row with nothing else, stays where it is."""

    def read(table):
        groups = []
        for row in table.locator("tbody tr").all():
            first, *cells = (text.strip() for text in row.locator("th, td").all_inner_texts())
            if any(cells):
                groups[-1][1].append(float(cells[0].split()[0].replace("−", "-")))
            else:
                groups.append((first, []))
        return groups

    for name in ("calibration", "results/pets"):
        page, *_ = visit(f"{site}/{name}.html")
        table = page.locator("table.sortable").last
        before = read(table)
        assert len(before) > 1
        table.locator("th button").nth(1).click()
        assert read(table) == [(head, sorted(values)) for head, values in before]
        table.locator("th button").nth(1).click()
        assert read(table) == [(head, sorted(values)[::-1]) for head, values in before]
        table.locator("th button").nth(1).click()
        assert read(table) == before


def test_the_overview_keeps_its_order(visit, site):
    page, *_ = visit(f"{site}/index.html")
    assert page.locator("table.overview").count() == 1
    assert not page.locator("table button.sort").count()


#: Text, place and size of all that stands in a page.
LAID_OUT = """[...document.querySelectorAll(".bd-content *")].map((part) => {
  const { x, y, width, height } = part.getBoundingClientRect();
  return [part.tagName, x, y, width, height, part.childElementCount ? "" : part.textContent];
})"""


@pytest.mark.parametrize("width", WIDTHS)
def test_from_files_it_reads_and_looks_the_same(visit, site, built_html, pages, width):
    for name in pages:
        if name == "search.html":  # it needs a server
            continue
        served, *_ = visit(f"{site}/{name}", width)
        page, errors, asked = visit((built_html / name).as_uri(), width)
        assert not errors, name
        assert not [url for url in asked if not url.startswith(("file:", "data:"))], name
        for _ in range(50):  # the theme draws its icons some time after a page is loaded
            if page.evaluate(LAID_OUT) == served.evaluate(LAID_OUT):
                break
            page.wait_for_timeout(100)
        assert page.evaluate(LAID_OUT) == served.evaluate(LAID_OUT), name
        if name == "results/pathmnist.html":
            shots = [p.locator("article").screenshot() for p in (page, served)]
            assert shots[0] == shots[1]
