"""The book in Chromium: wide and narrow, light and dark, by keyboard, and without a network."""

import functools
import http.server
import json
import shutil
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def site(book):
    """The address of the built book, served on this machine."""
    handler = functools.partial(QuietHandler, directory=str(book.html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "needs Chromium: apt-get install chromium"
    quiet = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """Open addresses in one window of a width; each page carries its errors and requests."""
    contexts = []

    def note_error(message):
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            message.page.errors.append(message.text)

    def open_window(width=1440, scheme="light"):
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.errors, page.requests = [], []
        page.on("console", note_error)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        return page

    yield open_window
    for context in contexts:
        context.close()


def find_serious(page):
    """Return what axe finds serious or critical on a page: rule and element."""
    return [
        (found["id"], found["nodes"][0]["html"][:200])
        for found in Axe().run(page).response["violations"]
        if found["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_every_page_is_sound(visit, site, pages, width, scheme):
    """No error, no foreign request, no sideways scroll, images seen, nothing serious for axe."""
    page, figures = visit(width, scheme), 0
    kept = [name for name in pages if not name.startswith("runs/")] + ["runs/pets_scratch"]
    for name in kept:
        page.goto(f"{site}/{name}.html", wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert not page.errors, name
        assert not [url for url in page.requests if not url.startswith((site, "data:"))], name
        if scheme == "light" or name in ("index", "explorer", "results/pathmnist"):
            assert not find_serious(page), name
            page.errors.clear()  # axe's own, which asks for source maps
        sizes = page.locator(".bd-article :is(img, .picture svg)").evaluate_all(
            "all => all.map(e => [e.complete ?? true, e.getBoundingClientRect().width])"
        )
        assert all(complete and width > 20 for complete, width in sizes), name
        figures += len(sizes)
    assert figures > 90


def test_pages_also_work_as_files(visit, book):
    page = visit()
    for name in ("index", "explorer", "results/pathmnist"):
        page.goto((book.html / f"{name}.html").as_uri(), wait_until="load")
    assert page.locator("table button.sort").count()
    assert not page.errors
    assert not [url for url in page.requests if not url.startswith(("file:", "data:"))]


def test_the_theme_switches_and_the_search_finds(visit, site):
    page = visit(390)
    page.goto(f"{site}/index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    before, seen = page.evaluate(ground), set()
    for _ in range(3):  # auto, light, dark, in the theme's order
        page.locator(".theme-switch-button").first.click()
        seen.add(page.evaluate(ground))
    assert seen - {before}
    page.goto(f"{site}/search.html?q=mixup")
    page.locator("#search-results li a").first.wait_for()


def test_the_explorer_shows_what_is_chosen_by_keyboard_too(visit, site):
    page = visit()
    page.goto(f"{site}/explorer.html")
    summary = page.locator(".explorer-summary")
    data = json.loads(page.locator("script.explorer-data").text_content())
    for dataset, described in data.items():
        page.select_option("select[name=dataset]", dataset)
        for number, arm in enumerate(described["arms"]):
            page.select_option("select[name=arm]", str(number))
            for corruption, shift in described["shifts"].items():
                page.select_option("select[name=corruption]", corruption)
                last = len(shift["stops"]) - 1
                page.locator("input[name=strength]").fill(str(last))
                condition = shift["stops"][last][1]
                shown = arm["conditions"][condition]
                text = summary.text_content()
                assert f"{arm['label']}, {corruption}" in text
                assert f"accuracy {shown['accuracy'][0]:.1f} %" in text
                assert f"error {shown['rms_calibration_error_10'][0]:.3f} (" in text
                images = page.locator(".explorer-images img").all()
                sources = [image.get_attribute("src") for image in images]
                assert sources == described["pictures"][condition]
                captions = page.locator(".explorer-images figcaption").all_text_contents()
                for (answer, confidence, _), caption in zip(
                    shown["answers"], captions, strict=True
                ):
                    assert f"{answer} {100 * confidence:.1f} %" in caption
                assert page.locator(".explorer-plots svg").count() == 3
    before = summary.inner_text()
    page.locator("input[name=strength]").focus()
    page.keyboard.press("ArrowLeft")
    assert summary.inner_text() != before
    assert not page.errors


def test_tables_sort_by_keyboard_within_their_groups(visit, site):
    """A row that heads a group, with nothing in its other cells, stays where it is."""

    def read(table):
        groups = [("", [])]
        for row in table.locator("tbody tr").all():
            first, *cells = (text.strip() for text in row.locator("th, td").all_inner_texts())
            if any(cells):
                number = cells[0].split()[0].replace("−", "-").replace("+", "")
                groups[-1][1].append(float(number))
            else:
                groups.append((first, []))
        return groups

    page = visit()
    for name, place in [("results/pathmnist", "first"), ("calibration", "last")]:
        page.goto(f"{site}/{name}.html")
        table = getattr(page.locator("table.sortable, table[id^=table-]"), place)
        before = read(table)
        button = table.locator("th button").nth(1)
        button.focus()
        for expected in (
            [(head, sorted(values)) for head, values in before],
            [(head, sorted(values, reverse=True)) for head, values in before],
            before,
        ):
            page.keyboard.press("Enter")
            assert read(table) == expected


def test_the_book_prints(visit, single):
    """What `nox -s pdf` prints: all pages as one, without links to this machine."""
    page = visit()
    page.goto(single.page.as_uri())
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert b"/URI (http" in printed
    assert b"/URI (file:" not in printed
