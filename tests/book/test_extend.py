"""The examples of the page "Extend", executed as they stand in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers import ROOT
from helpers.runs.record import read_records

PAGE = (ROOT / "book/extend.md").read_text(encoding="utf-8")
PYTHON = Path(sys.executable)


def call(copy: Path, command: str, *more: str) -> str:
    """Run a command line as the page has it, with the code of the copy."""
    places = {"python": str(PYTHON), "jupyter-book": str(PYTHON.with_name("jupyter-book"))}
    words = [places.get(word, word) for word in shlex.split(command)]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("REPORT_")}
    environment = kept | {"PYTHONPATH": str(copy / "src")}
    done = subprocess.run(
        [*words, *more], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy with the page's metric, corruption, arm and data set, their runs, and the book."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("book", "profiles", "src"):
        leave = shutil.ignore_patterns("_build", "runs" if folder == "book" else "", "__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=leave)
    profile = copy / "profiles/smoke.yaml"  # one epoch is enough here
    profile.write_text(re.sub(r"epochs: \d+", "epochs: 1", profile.read_text(encoding="utf-8")))
    blocks = re.findall(r"```\{code-block\} python\n:caption: (\S+), (.*)\n([^`]*)```", PAGE)
    assert len(blocks) == 5
    for name, place, code in blocks:
        path = copy / name
        text = path.read_text(encoding="utf-8") if place != "a new file" else ""
        if place.startswith("in "):
            head = re.search(rf"^{place[3:]}\b.*= {{\n", text, re.MULTILINE)[0]
            text = text.replace(head, head + code)
        else:
            text += code if place == "a new file" else f"\n\n{code}"
        path.write_text(text, encoding="utf-8")
    arm, data, commands = re.findall(r"```bash\n([^`]*)```", PAGE)
    run, build = commands.splitlines()
    for sed in (arm, data):
        subprocess.run(["bash", "-ec", sed], cwd=copy, check=True)
    call(copy, run, "--seeds", "0")
    call(copy, "python -m helpers run --profile smoke --only pathmnist_augmented --seeds 0")
    call(copy, build)
    return copy


def read_page(copy: Path, name: str) -> BeautifulSoup:
    text = (copy / f"book/_build/html/{name}.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser").select_one("article")


def test_the_data_set_has_runs_under_the_corruption_and_a_results_page(copy):
    (record,) = read_records(copy / "results/smoke", "digits_*")
    assert record.data["name"] == "digits"
    assert record.metrics.corruption.tolist() == ["clean", *["brightness"] * 4, *["fog"] * 3]
    assert record.metrics.accuracy[0] > 0.2  # it has learned from what the loader returned
    page = read_page(copy, "further/digits")
    assert "Digits" in page.h1.text
    fog = record.metrics.query("corruption == 'fog'").accuracy
    assert any(f"{100 * fog.mean():.1f}" in table.text for table in page.select("table"))
    assert "Digits: Basic" in read_page(copy, "runs/digits_basic").h1.text


def test_the_arm_joins_its_data_set_whose_other_arms_are_missing(copy):
    page = read_page(copy, "results/pathmnist")
    rows = {row.find(["th", "td"]).text.strip(): row.text for row in page.select("#table-1 tr")}
    assert re.search(r"\d\d\.\d", rows["Aug"])
    assert "—" in rows["Basic"]
    assert "python -m helpers run" in page.text
    alts = [drawing["aria-label"] for drawing in page.select(".picture svg")]
    assert any(alt.startswith("Aug, smoke: accuracy by epoch") for alt in alts)


def test_the_corruption_is_tested_on_a_shipped_network(copy):
    (code,) = re.findall(r"```python\n([^`]*)```", PAGE)
    (copy / "records").symlink_to(ROOT / "records")
    drawn = code.replace('"official"', '"synthetic"')  # the published images may not be here
    table = call(copy, "python -c", drawn)
    assert re.findall(r"^\d +(\w+)", table, re.MULTILINE) == ["clean", "fog", "fog"]


def test_the_metric_is_in_the_tidy_table(copy):
    (path,) = (copy / "book/_build/tidy").glob("estimates-*.csv")
    table = pd.read_csv(path).query("metric == 'confident_errors' and shift == 'fog'")
    assert set(table["dataset"]) == {"digits"}
    assert table["mean"].between(0, 1).all()


def test_added_code_has_the_style_of_the_project(copy):
    config = ["--config", str(ROOT / "pyproject.toml"), "src", "book/experiments"]
    call(copy, "python -m ruff check", *config)
    call(copy, "python -m ruff format --check", *config)
