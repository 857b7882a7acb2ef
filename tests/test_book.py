"""The book, built from made-up records as a reader would build it."""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import made_up
from building import build
from helpers import ROOT
from helpers.report.paper import read_reference

PAGES = {
    *("bibliography", "calibration", "claims", "data", "explorer", "extend", "index", "method"),
    *("register", "reliability", "reproduce", "runs"),
    *("results/pathmnist", "results/pets"),
}

#: What makes a browser load from another host, in a style sheet, a script or a drawing.
LOADS = r"""(?x) (url\(|@import|fetch\(|import\(|importScripts\(|open\(|(src|xlink:href)\s*=)
    \s* ["'`]? \s* (https?:)?//"""


def read_pages(folder):
    html = folder / "book/_build/html"
    return {
        path.relative_to(html).with_suffix("").as_posix(): path.read_text()
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def folder(first_build):
    return first_build[0]


@pytest.fixture(scope="module")
def pages(first_build):
    folder, executed = first_build
    assert executed == PAGES
    return read_pages(folder)


def test_tables_hold_the_paper_and_the_runs(pages, folder):
    found = {}
    for name in ("results/pathmnist", "results/pets"):
        for table in BeautifulSoup(pages[name], "html.parser").select("table[id^=table-]"):
            number = int(re.fullmatch(r"Table (\d) ", table.select_one(".caption-number").text)[1])
            assert table["id"] == f"table-{number}"
            assert "over 3 seeds (0–2)" in table.caption.text
            heads = [head.text.strip() for head in table.thead.find_all("th")]
            for line in table.tbody.find_all("tr"):
                row, *cells = line.find_all(["th", "td"])
                for head, cell in zip(heads[1:], cells, strict=True):
                    column = head.replace(" = ", "=").replace("σ", "sigma")
                    found[number, row.text.strip(), column] = cell
    reference = read_reference()
    assert len(found) == len(reference) == 84
    for cell in reference.itertuples():
        shown = found[cell.table, cell.row, cell.column]
        paper = shown.select_one(".paper")
        assert float(paper.text) == cell.value
        assert bool(paper.strong) == cell.bold
        assert re.match(r"\d+\.\d+ ± \d+\.\d+ ", shown.text.strip())
        assert re.fullmatch(r"\d+\.\d+ to \d+\.\d+", shown.select_one(".interval").text)
        assert bool(shown.select_one(".floor")) == (cell.metric == "rms_calibration_error")
        assert not shown.select_one(".verdict")  # withheld: the data are stand-ins


def test_heads_of_tables_name_their_column_or_their_row(pages):
    tables = 0
    for name, page in pages.items():
        for table in BeautifulSoup(page, "html.parser").select(".bd-article table.table"):
            (heads, *rows), tables = table.select("tr"), tables + 1
            assert {cell.get("scope") for cell in heads.find_all(["th", "td"])} == {"col"}, name
            for row in rows:
                first, *others = row.find_all(["th", "td"])
                assert (first.name, first["scope"]) == ("th", "row"), name
                assert {cell.name for cell in others} == {"td"}, name
    assert tables > 20


def test_tables_can_be_taken_away(pages):
    found = set()
    for page in pages.values():
        soup = BeautifulSoup(page, "html.parser")
        for table in soup.select("table[id^=table-], table.sortable"):
            links = table.find_next(class_="downloads")("a")
            assert all(link["href"].startswith("data:") for link in links)
            name = links[0]["download"].removesuffix(".csv")
            assert [link["download"] for link in links] == [f"{name}.csv", f"{name}.tex"]
            assert name not in found
            found.add(name)
    kinds = ("scores", "differences", "temperatures", "differences-to-temperature")
    assert found == {
        *(f"table-{number}" for number in range(1, 9)),
        *(f"{dataset}-{kind}" for dataset in ("pathmnist", "pets") for kind in kinds),
        *("beyond", "claims", "data", "runs", "survival"),
    }


def test_the_explorer_carries_its_data_and_is_light(pages, folder):
    page = BeautifulSoup(pages["explorer"], "html.parser")
    assert list(json.loads(page.select_one(".explorer script").text)) == ["pathmnist", "pets"]
    for script in ("explorer.js", "tables.js"):
        assert page.select_one(f'script[src^="_static/{script}"]')
    script = folder / "book/_build/html/_static/explorer.js"
    assert len(pages["explorer"]) + script.stat().st_size < 1_000_000


def test_figures_are_numbered_as_in_the_paper(pages):
    numbers = {
        name: re.findall(r'caption-number">Figure (\d+) <', page) for name, page in pages.items()
    }
    assert {name: found for name, found in numbers.items() if found} == {
        "method": ["1", "2"],
        "results/pathmnist": ["3"],
        "results/pets": ["4"],
        "calibration": [str(number) for number in range(5, 13)],
    }


def test_equations_are_numbered_and_the_first_is_the_paper_s(pages):
    page = BeautifulSoup(pages["method"], "html.parser")
    numbers = {math["id"]: math.select_one(".eqno").text for math in page.select("div.math[id]")}
    assert numbers["equation-calibration-error"] == "(1)"
    assert list(numbers.values()) == [f"({number})" for number in range(1, len(numbers) + 1)]
    assert numbers.keys() >= {"equation-mixup", "equation-barlow-twins"}
    assert len(page.select("div.math math")) == len(page.select("div.math")) == len(numbers)


def test_every_page_is_offered_as_a_notebook(pages, folder):
    others = {name for name in pages.keys() - PAGES if not name.startswith("runs/")}
    assert others == {"genindex", "search"}
    for name in PAGES:
        link = f'href="{"../" * name.count("/")}_sources/{name}.ipynb"'
        assert link in pages[name], name
        notebook = json.loads((folder / f"book/_build/html/_sources/{name}.ipynb").read_text())
        assert any(cell.get("outputs") for cell in notebook["cells"]), name


def test_experiment_pages_show_the_executed_notebook(pages):
    for experiment in made_up.EXPERIMENTS:
        assert "stored output of seed 0" in pages[f"runs/{experiment}"]


def test_an_experiment_besides_the_six_has_a_page_and_a_row(pages):
    assert "stored output of seed 0" in pages["runs/fog_basic"]
    assert 'href="runs/fog_basic.html"' in pages["index"]  # in the sidebar, after the six
    rows = BeautifulSoup(pages["extend"], "html.parser").select("article table tbody tr")
    names = [[cell.text.strip() for cell in row.find_all(["th", "td"])][:2] for row in rows]
    assert [row[1] for row in names] == ["clean", "brightness", "blur"]
    assert 'href="runs/fog_basic.html"' in str(rows[0])


def test_every_page_says_that_the_data_are_stand_ins(pages):
    for name in [*PAGES, *(f"runs/{experiment}" for experiment in made_up.EXPERIMENTS)]:
        assert "stand-in images (tissue and creatures)" in pages[name], name


def test_no_page_needs_another_host(pages, folder):
    for name, page in pages.items():
        soup = BeautifulSoup(page, "html.parser")
        loaded = [tag.get("src") for tag in soup.select("[src]")]
        loaded += [tag["href"] for tag in soup.select("link[href]")]
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], name
        assert not re.search(r"https?://", "".join(tag.text for tag in soup("script"))), name
    static = folder / "book/_build/html/_static"
    for path in [*static.rglob("*.css"), *static.rglob("*.js"), *static.rglob("*.svg")]:
        assert not re.search(LOADS, path.read_text(encoding="utf-8")), path


def test_every_link_within_the_book_leads_somewhere(pages, folder):
    html = folder / "first"
    soups = {name: BeautifulSoup(page, "html.parser") for name, page in pages.items()}
    anchors = {
        html / f"{name}.html": {tag["id"] for tag in soup.select("[id]")}
        for name, soup in soups.items()
    }
    followed = 0
    for name, soup in soups.items():
        here = html / f"{name}.html"
        for address in (link["href"] for link in soup.select("a[href]")):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            assert target.is_file(), (name, address)
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in anchors[target], (name, address)
            followed += 1
    assert followed > 500


def test_text_of_records_is_read_and_never_obeyed(pages):
    """Class names, parameters, paths and versions that would be HTML, Markdown or LaTeX."""
    for name, page in pages.items():
        soup = BeautifulSoup(page, "html.parser")
        for tag in soup(True):
            code = tag.name == "script" and tag.get("type") != "application/json"
            assert not code or "alert" not in tag.text, name
            assert tag.get("src") != "x", name
            assert not str(tag.get("href", "")).strip().lower().startswith("javascript"), name
            handlers = {value for key, value in tag.attrs.items() if key[:2] == "on"}
            assert handlers <= {"window.print()", "toggleFullScreen()"}, name  # the theme's
    runs, data = (BeautifulSoup(pages[name], "html.parser") for name in ("runs", "data"))
    for text in made_up.HOSTILE:
        assert json.dumps(text)[1:-1] in runs.text  # a changed parameter, as JSON
    for text in made_up.HOSTILE[:4]:
        assert text in data.text  # a class under the gallery
        assert any(text in image["alt"] for image in data("img"))
    assert "`<b>start</b>`" in runs.text
    assert made_up.HOSTILE[2] in runs.text


def test_no_file_of_the_book_says_where_it_was_made(pages, folder):
    places = ["zaphod", str(folder), str(ROOT), str(Path.home())]
    files = [path for path in (folder / "book/_build/html").rglob("*") if path.is_file()]
    assert len([path for path in files if path.name.endswith("-seed-1.ipynb")]) == 6
    for path in files:
        content = path.read_bytes()
        assert not [place for place in places if place.encode() in content], path
    assert "~/.venv/lib/x.py:3: UserWarning: mind" in pages["runs/pets_scratch"]


def test_pictures_have_texts(pages):
    for name in PAGES:
        page = BeautifulSoup(pages[name], "html.parser")
        for image in page.select(".bd-article :is(img, .picture svg)"):
            assert image.get("alt") or image.get("aria-label"), name


def test_only_changed_records_execute_pages_again(pages, folder):
    done, executed = build(folder)
    assert done.returncode == 0
    assert not executed
    made_up.write_records(folder / "results", "made_up", official=True, salt=1)
    done, executed = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert executed == PAGES
    after = read_pages(folder)
    assert after["results/pets"] != pages["results/pets"]
    assert not [name for name, page in after.items() if "stand-in images (" in page]


def test_a_damaged_record_is_named_and_left_out(folder):
    (folder / "results/pets_scratch/seed-1/metrics.csv").write_text("nothing")
    done, _ = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "pets_scratch seed 1 is left out: metrics.csv differs" in line
    after = read_pages(folder)
    assert "pets_scratch seed 1 is left out" in after["runs"]
    table = BeautifulSoup(after["results/pets"], "html.parser").select_one("#table-5")
    assert "2 seeds (0, 2) for No Pretraining" in table.caption.text


def test_missing_records_stop_the_build_with_one_line(folder):
    shutil.rmtree(folder / "results/pets_scratch")
    done, _ = build(folder)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "pets_scratch" in line
