"""The built book: pages, links, captions, banners, redaction, escaping, and what a rebuild does."""

import json
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import made_up
from helpers import ROOT, InputError
from helpers.report.sphinx_extension import require_loopback

EXECUTED = {
    *("bibliography", "calibration", "claims", "data", "explorer", "index", "method", "register"),
    *("reproduce", "runs", "tidy", "results/pathmnist", "results/pets", "further/fog"),
}
PAGES = EXECUTED | {"extend", "reliability"}

#: What makes a browser load from another host, in a style sheet, a script or a drawing.
LOADS = r"""(?x) (url\(|@import|fetch\(|import\(|importScripts\(|open\(|(src|xlink:href)\s*=)
    \s* ["'`]? \s* (https?:)?//"""


def test_every_page_is_built_and_those_with_code_execute(book, pages):
    assert book.executed == EXECUTED
    runs = {f"runs/{name}" for name in [*made_up.EXPERIMENTS, "fog_basic"]}
    assert pages.keys() == PAGES | runs | {"genindex", "search"}


def test_tables_and_figures_are_numbered_as_in_the_paper(pages):
    tables = {
        name: [table["id"] for table in page.select("table[id^=table-]")]
        for name, page in pages.items()
    }
    assert tables["results/pathmnist"] == [f"table-{number}" for number in range(1, 5)]
    assert tables["results/pets"] == [f"table-{number}" for number in range(5, 9)]
    figures = {
        name: [
            int(re.search(r"Figure (\d+)", str(c))[1])
            for c in page.select("figcaption .caption-number")
        ]
        for name, page in pages.items()
    }
    assert {name: numbers for name, numbers in figures.items() if numbers} == {
        "method": [1, 2],
        "results/pathmnist": [3],
        "results/pets": [4],
        "calibration": list(range(5, 11)),
    }
    equations = pages["method"].select("div.math .eqno")
    assert [e.text for e in equations] == [f"({n})" for n in range(1, len(equations) + 1)]
    assert len(pages["method"].select("div.math math")) == len(equations) > 3


def test_header_cells_name_their_column_or_row(pages):
    tables = [(name, t) for name, p in pages.items() for t in p.select(".bd-article table.table")]
    for name, table in tables:
        head, *rows = table.select("tr")
        assert {cell.get("scope") for cell in head.find_all(["th", "td"])} == {"col"}, name
        for row in rows:
            first, *others = row.find_all(["th", "td"])
            assert (first.name, first["scope"]) == ("th", "row"), name
            assert {cell.name for cell in others} <= {"td"}, name
    assert len(tables) > 20


def test_every_table_is_offered_as_csv(pages):
    names = set()
    for page in pages.values():
        for table in page.select("table[id^=table-], .cell table.sortable"):
            link = table.find_next(class_="downloads").a
            assert link["href"].startswith("data:text/csv")
            names.add(link["download"])
    assert {"runs.csv", *(f"table-{number}.csv" for number in range(1, 9))} <= names


def test_experiment_pages_show_executed_notebooks_and_the_last_one_a_further_data_set(pages):
    for experiment in [*made_up.EXPERIMENTS, "fog_basic"]:
        assert "stored output of seed 0" in pages[f"runs/{experiment}"].text
    assert pages["index"].select('nav a[href="runs/fog_basic.html"]')
    assert pages["further/fog"].select("article table")


def test_banners_name_the_data_of_their_page(pages):
    banners = {
        name: page.select_one(".bd-header-announcement").text for name, page in pages.items()
    }
    for name in ("index", "calibration", "runs"):
        assert "stand-in images (tissue" in banners[name]
        assert "stand-in images (creatures" in banners[name]
    assert "creatures" not in banners["results/pathmnist"] + banners["runs/pathmnist_basic"]
    assert "tissue" not in banners["results/pets"] + banners["runs/pets_scratch"]


def test_no_page_needs_another_host(book, pages):
    for name, page in pages.items():
        loaded = [tag.get("src") for tag in page.select("[src]")]
        loaded += [tag["href"] for tag in page.select("link[href]")]
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], name
        assert not re.search(r"https?://", "".join(tag.text for tag in page("script"))), name
    static = book.html / "_static"
    for path in [*static.rglob("*.css"), *static.rglob("*.js"), *static.rglob("*.svg")]:
        assert not re.search(LOADS, path.read_text(encoding="utf-8")), path


def test_every_link_within_the_book_leads_somewhere(book, pages):
    anchors = {
        book.html / f"{name}.html": {tag["id"] for tag in page.select("[id]")}
        for name, page in pages.items()
    }
    followed = 0
    for name, page in pages.items():
        here = book.html / f"{name}.html"
        for address in (link["href"] for link in page.select("a[href]")):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            assert target.is_file(), (name, address)
            if parts.fragment and target.suffix == ".html":
                assert unquote(parts.fragment) in anchors[target], (name, address)
            followed += 1
    assert followed > 500


def test_text_of_records_is_never_markup(pages):
    """Class names, parameters, paths and versions that would be HTML, Markdown or LaTeX."""
    for name, page in pages.items():
        for tag in page(True):
            code = tag.name == "script" and tag.get("type") != "application/json"
            assert not code or "alert" not in tag.text, name
            assert tag.get("src") != "x", name
            assert not str(tag.get("href", "")).strip().lower().startswith("javascript"), name
            handlers = {value for key, value in tag.attrs.items() if key[:2] == "on"}
            assert handlers <= {"window.print()", "toggleFullScreen()"}, name  # the theme's
    for text in made_up.HOSTILE:
        assert json.dumps(text)[1:-1] in pages["runs"].text  # a changed parameter, as JSON
    for text in made_up.HOSTILE[:4]:
        assert text in pages["data"].text  # a class below the gallery
        assert any(text in image["alt"] for image in pages["data"]("img"))


def test_no_file_of_the_book_says_where_it_was_made(book, pages):
    places = ["zaphod", str(book.folder), str(ROOT), str(Path.home())]
    files = [path for path in book.html.rglob("*") if path.is_file()]
    assert len([path for path in files if path.name.endswith("-seed-1.ipynb")]) == 6
    for path in files:
        content = path.read_bytes()
        assert not [place for place in places if place.encode() in content], path
    assert "~/.venv/lib/x.py:3: UserWarning: mind" in pages["runs/pets_scratch"].text


def test_every_image_has_a_text_alternative_and_a_page_is_light(book, pages):
    for name in PAGES:
        for image in pages[name].select(".bd-article :is(img, .picture svg)"):
            assert image.get("alt") or image.get("aria-label"), name
        assert (book.html / f"{name}.html").stat().st_size < 1_500_000, name
    data = json.loads(pages["explorer"].select_one("script.explorer-data").text)
    assert list(data) == ["pathmnist", "pets", "fog"]


def test_a_rebuild_executes_nothing(book, build, single):
    assert build(book.folder).executed == set()
    assert (single.code, single.executed) == (0, set()), single.log


def test_the_book_is_also_one_page(single):
    page = single.page.read_text(encoding="utf-8")
    assert len(BeautifulSoup(page, "html.parser").select("table[id^=table-]")) == 8
    assert "seed-1.ipynb" not in page  # no link to a file where it would lead nowhere


def test_a_changed_a_corrupt_and_a_missing_record_change_every_page(tmp_path, book, build):
    """One build: an arm has other records, one record is corrupt, and one arm has none."""
    folder = tmp_path / "report"
    shutil.copytree(book.folder, folder, ignore=shutil.ignore_patterns("first"))
    results = folder / "results"
    (results / "pets_supervised/seed-1/metrics.csv").write_text("nothing")
    shutil.rmtree(results / "pets_scratch")
    shutil.rmtree(results / "pathmnist_basic")
    made_up.write_run(results, "made_up", "pathmnist_basic", 0, salt=1)
    done = build(folder)
    assert done.code == 0, done.log
    assert done.executed == EXECUTED
    (warning,) = [line for line in done.errors.splitlines() if line.startswith("warning: ")]
    assert "pets_supervised seed 1 is left out: metrics.csv" in warning
    assert "--only pets_supervised --seeds 1" in warning
    html = folder / "book/_build/html"
    runs, pets, absent = (
        BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for name in ("runs", "results/pets", "runs/pets_scratch")
    )
    assert "pets_supervised seed-1: metrics.csv" in runs.select_one(".warning").text
    assert "—" in pets.select_one("#table-5").text
    assert "No Pretraining" in pets.select_one("#table-5").text
    for page in (pets, absent):
        assert "python -m helpers run" in page.select_one("article").text


def test_a_build_without_loopback_is_one_line(monkeypatch):
    def refuse(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(InputError, match=r"\(127.0.0.1\).*Network is unreachable; bring it up"):
        require_loopback()
