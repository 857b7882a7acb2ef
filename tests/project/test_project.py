"""README, pins, workflows, layers and citations agree with each other and with the code."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pybtex.database import parse_file, parse_string

from helpers import ROOT, report
from helpers.report import records, tidy

DISTRIBUTIONS = packages_distributions()
PINS = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
BOOK = ROOT / "book"
BIBLIOGRAPHY = parse_file(str(BOOK / "references.bib")).entries
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CONTRACTS = PYPROJECT["tool"]["importlinter"]["contracts"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(page.relative_to(BOOK)): page.read_text(encoding="utf-8")
    for kind in ("*.md", "results/*.md", "experiments/*.py")
    for page in BOOK.glob(kind)
}
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github/workflows").glob("*.yml")
}
JOBS = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]
STEPS = [step for job in JOBS for step in job["steps"]]

#: README's two commands, by the session that each calls.
COMMANDS = {
    line.rpartition(" ")[2]: line
    for line in re.findall(r"^python3 -m venv .+ -m nox -s \w+", README, re.M)
}


def find_distributions(module: str) -> set[str]:
    return {canonicalize_name(name) for name in DISTRIBUTIONS[module]}


@pytest.mark.parametrize("stated", PROJECT["dependencies"])
def test_pins_lie_in_the_supported_ranges(stated):
    requirement = Requirement(stated)
    assert PINS[requirement.name] in requirement.specifier
    assert any(part.operator == ">=" for part in requirement.specifier)


def test_imports_of_tests_and_benchmarks_are_pinned():
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    names = set()
    for node in (n for file in files for n in ast.walk(ast.parse(file.read_text("utf-8")))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    own = {"helpers", "tests", *(path.stem for path in files), *(p.parent.name for p in files)}
    for name in {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names:
        assert find_distributions(name) & PINS.keys(), name


def test_dependencies_of_pinned_packages_are_pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    constraints = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    assert not constraints & PINS.keys()  # one pin per package
    # torch pins the first three itself, and every environment has its own versions of the others.
    left_out = ("cuda-", "nvidia-", "triton", "setuptools", "wheel")
    waiting, seen = [(name, "") for name in PINS], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name.startswith(left_out):
            continue
        seen.add((name, extra))
        assert name in PINS.keys() | constraints, name
        for needed in map(Requirement, distribution(name).requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                extras = ["", *needed.extras]
                waiting += [(canonicalize_name(needed.name), extra) for extra in extras]


def test_sphinx_extensions_and_the_formatter_of_commits_are_pinned():
    config = yaml.safe_load((BOOK / "_config.yml").read_text())
    for name in config["sphinx"]["config"]["extensions"]:
        found = find_distributions(name.split(".")[0])
        assert found & (PINS.keys() | {PROJECT["name"]}), name
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["rev"] == f"v{PINS['ruff']}"


def test_layers_of_imports_are_kept():
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    rooms = {f"helpers.{path.parent.name}" for path in ROOT.glob("src/helpers/*/__init__.py")}
    assert rooms <= {name for each in CONTRACTS for name in each["source_modules"]}


def test_all_places_run_readmes_commands():
    assert set(COMMANDS) == {"book", "tests"}
    first = COMMANDS["book"].removesuffix("book")
    assert COMMANDS["book"] in PAGES["reproduce.md"]
    ci = (ROOT / ".ci/run").read_text()
    assert ci.endswith(f"{first}lint\n{COMMANDS['tests']}\n")
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"].endswith(COMMANDS["book"])
    assert container["image"].rpartition(":")[2] in SpecifierSet(PROJECT["requires-python"])
    called = [step["run"] for step in STEPS if "nox" in step.get("run", "")]
    assert {line.removeprefix(first) for line in called} == {"book", "links", "lint", "tests"}
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.M))
    assert sessions >= {*re.findall(r"nox -s (\w+)", README), "links", "lint", "pdf", "bench"}


def test_workflows_cover_the_stated_systems_with_the_least_permissions():
    stated = SpecifierSet(PROJECT["requires-python"])
    jobs = WORKFLOWS["test"]["jobs"]
    tested = jobs["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(30) if f"3.{minor}.99" in stated]
    assert set(jobs["first-line"]["strategy"]["matrix"]["image"]) >= {"debian:12", "ubuntu:24.04"}
    allowed = {("book", "deploy"): {"pages": "write", "id-token": "write"}}
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}
        for job, content in workflow["jobs"].items():
            assert content.get("permissions") == allowed.get((name, job))
    for step in (step for step in STEPS if "uses" in step):
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False


def test_paths_in_readme_exist():
    names = re.findall(
        r"(?<![\w/])(?:book|profiles|src|tests|benchmarks|\.[a-z]+)/[\w./-]*", README
    )
    names += re.findall(r"\]\(([\w./-]+)\)", README)
    names = {name.rstrip(".") for name in names if not name.startswith((".nox/", ".venv/"))}
    assert len(names) > 10
    generated = "book/_build/"
    assert not [n for n in names if not n.startswith(generated) and not (ROOT / n).exists()]


def test_options_in_readme_exist():
    environment, known = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}, ""
    texts = README + "".join(PAGES.values())
    for command in {*re.findall(r"python -m helpers (\w+)", texts)}:
        arguments = [sys.executable, "-m", "helpers", command, "--help"]
        shown = subprocess.check_output(arguments, text=True, env=environment)
        lines = re.findall(rf"python -m helpers {command}\b([^`\n#]*)", texts)
        used = {word for line in lines for word in re.findall(r"(?<!\S)--?[a-z][\w-]*", line)}
        assert not [option for option in used if option not in shown], command
        known += shown
    foreign = {"--to", "--output", "--install-completion"}
    assert {*re.findall(r"(?<![\w-])--[a-z][\w-]+", README)} - foreign <= {
        *re.findall(r"--\w+", known)
    }


def test_parameters_in_readme_exist():
    notebooks = "".join(text for name, text in PAGES.items() if name.startswith("experiments/"))
    names = set(re.findall(r"-p \"?(\w+)[= ]", README + "".join(PAGES.values())))
    assert {"batch_size", "results", "data_source"} <= names
    assert not [name for name in names if not re.search(rf"^{name} = ", notebooks, re.M)]


def test_tracked_files_name_no_machine():
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    files = [ROOT / name for name in listed.rstrip("\0").split("\0")]
    places = re.compile(rb"/(?:" + b"root|work" + rb")/[a-z]|pypi-" + b"more")
    found = [str(file) for file in files if file.is_file() and places.search(file.read_bytes())]
    assert not found


@pytest.mark.parametrize(("colour", "ground"), [("5f5f5f", "ffffff"), ("a0a0a0", "121212")])
def test_the_drawing_of_barlow_twins_is_legible_in_both_themes(colour, ground):
    """The contrast that WCAG demands of small text."""
    assert f"color: #{colour}" in (BOOK / "_static/barlow_twins.svg").read_text(encoding="utf-8")
    shades = [int(code[:2], 16) / 255 for code in (colour, ground)]
    dark, light = sorted(((shade + 0.055) / 1.055) ** 2.4 for shade in shades)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


#: arXiv numbers of the paper's references.
CITED_BY_THE_PAPER = {
    *("2106.11342", "1903.12261", "1901.09960", "1906.12340", "1710.09412", "1912.02781"),
    *("2103.03230", "1606.00915"),
}


def test_the_bibliography_is_complete_and_holds_nothing_else():
    cites = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "".join(PAGES.values()))
    cited = set(",".join(cites).split(","))
    assert cited
    assert cited <= set(BIBLIOGRAPHY)
    numbers = set()
    for key, entry in BIBLIOGRAPHY.items():
        journal, url, doi = (entry.fields.get(name, "") for name in ("journal", "url", "doi"))
        number = set(re.findall(r"\d{4}\.\d{4,5}", journal + url))
        numbers |= number
        assert key in cited or number & CITED_BY_THE_PAPER, key
        if "arxiv" in (journal + url).lower():
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", url), key
            assert len(number) == 1
        elif doi or url or int(entry.fields["year"]) > 1970:
            assert re.fullmatch(r"10\.\d{4,9}/\S+|https://\S+", doi or url), key
        else:  # an old book: a library finds it
            assert entry.fields["publisher"], key
    assert numbers >= CITED_BY_THE_PAPER


def test_citations_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (study,) = citation["references"]
    cited = BIBLIOGRAPHY["team34"]
    found = [study["title"], study["url"], str(study["year"]), study["notes"]]
    assert found == [cited.fields[name] for name in ("title", "url", "year", "note")]
    authors = [(person["given-names"], person["family-names"]) for person in study["authors"]]
    assert authors == [(*who.first_names, *who.last_names) for who in cited.persons["author"]]
    first, second = list(BIBLIOGRAPHY)[:2]
    assert first == "team34"
    assert f':end-before: "@article{{{second}"' in PAGES["bibliography.md"]
    entry = re.search(r"```bibtex\n(.+?)```", PAGES["bibliography.md"], re.S)[1]
    fields = parse_string(entry, "bibtex").entries["robustness_report"].fields
    stated = [citation[name] for name in ("title", "version", "license")]
    assert [fields[name] for name in ("title", "version", "license")] == stated
    assert [PROJECT[name] for name in ("description", "version", "license")] == stated
    assert fields["year"] == str(citation["date-released"].year)


def test_readme_states_what_the_shipped_records_show(monkeypatch, tmp_path):
    (tmp_path / "records").symlink_to(ROOT / "records")  # apart from results/ of this checkout
    monkeypatch.setattr(records, "ROOT", tmp_path)
    for name in ("REPORT_PROFILE", "REPORT_RESULTS", "REPORT_SEEDS"):
        monkeypatch.delenv(name, raising=False)
    rows = tidy.load_tables()[0].query("profile == 'paper' and strength.isna()")
    rows = rows.set_index(["metric", "shift", "arm"])[["mean", "paper", "n_seeds"]]
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    for arm, cost, error in [
        ("Basic", "shifts cost ResNet-18 {:.1f} points", "error is {:.3f} without"),
        ("MixUp + Aug", "and {:.1f} with MixUp + Aug", "and {:.3f} with MixUp + Aug"),
    ]:
        lost, clean = rows.loc["accuracy_lost", "brightness", arm], rows.loc[tidy.RMS, "clean", arm]
        assert cost.format(100 * lost["mean"]) in text
        assert error.format(clean["mean"]) in text
        assert f"{100 * lost['paper']:.1f}" in text
        assert lost["n_seeds"] == 1
    blur = [
        100 * rows.loc["accuracy_lost", "blur", arm]["mean"] for arm in ("Basic", "MixUp + Aug")
    ]
    assert "blur costs {:.1f} and {:.1f}".format(*blur) in text
    assert "≈\xa0consistent 28, not measured 14" in report.show_summary().data
    assert "All 28 of the paper's values for these two arms are consistent" in text
    between = tidy.differences().query("dataset == 'pathmnist' and p_holm.notna()")
    assert set(between["profile"]) == {"short"}
    assert set(between["n_seeds"]) == {3}
    assert (between["p_holm"] > 0.05).all()
    assert "no difference between the two arms is significant" in text
