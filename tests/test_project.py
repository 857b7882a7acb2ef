"""What holds between the files that state versions, what the workflows may do, what is cited."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from pybtex.database import parse_file, parse_string

from helpers import ROOT

PINS = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
BOOK = ROOT / "book"
BIBLIOGRAPHY = parse_file(str(BOOK / "references.bib")).entries
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github/workflows").glob("*.yml")
}
STEPS = [
    step
    for workflow in WORKFLOWS.values()
    for job in workflow["jobs"].values()
    for step in job["steps"]
]


@pytest.mark.parametrize("stated", PROJECT["dependencies"])
def test_what_is_stated_is_what_was_tested(stated):
    requirement = Requirement(stated)
    assert PINS[requirement.name] in requirement.specifier
    assert any(part.operator == ">=" for part in requirement.specifier)


def test_what_tests_and_benchmarks_import_is_pinned():
    files = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    own = {"helpers", "survival", "tests", *(path.stem for path in files)}
    known = packages_distributions()
    for name in {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names:
        distributions = {found.lower().replace("_", "-") for found in known[name]}
        assert distributions & PINS.keys(), name


def test_what_the_pinned_packages_bring_along_is_pinned_too():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    brought = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    assert not brought & PINS.keys()  # a package has one pin
    # torch pins the first three itself, and every environment has others of the last two.
    left_out = ("cuda-", "nvidia-", "triton", "setuptools", "wheel")
    waiting, seen = [(name, "") for name in PINS], set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name.startswith(left_out):
            continue
        seen.add((name, extra))
        assert name in PINS.keys() | brought, name
        for needed in map(Requirement, distribution(name).requires or []):
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                extras = ["", *needed.extras]
                waiting += [(canonicalize_name(needed.name), extra) for extra in extras]


def test_extensions_of_the_book_are_pinned():
    config = yaml.safe_load((BOOK / "_config.yml").read_text())
    known = packages_distributions()
    for name in config["sphinx"]["config"]["extensions"]:
        distributions = {found.lower().replace("_", "-") for found in known[name.split(".")[0]]}
        assert distributions & (PINS.keys() | {PROJECT["name"]}), name


def test_the_pythons_of_the_workflow_are_those_stated():
    stated = SpecifierSet(PROJECT["requires-python"])
    tested = WORKFLOWS["test"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == [f"3.{minor}" for minor in range(30) if f"3.{minor}.99" in stated]


def test_workflows_may_do_no_more_than_they_need():
    assert set(WORKFLOWS) == {"book", "links", "test"}
    allowed = {("book", "deploy"): {"pages": "write", "id-token": "write"}}
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}
        for job, content in workflow["jobs"].items():
            assert content.get("permissions") == allowed.get((name, job))


def test_actions_are_pinned_and_keep_no_credentials():
    used = [step for step in STEPS if "uses" in step]
    assert used
    for step in used:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        if "checkout" in step["uses"]:
            assert step["with"]["persist-credentials"] is False


def test_workflows_call_sessions_that_there_are():
    sessions = set(re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(), re.M))
    called = {name for step in STEPS for name in re.findall(r"nox -s (\w+)", step.get("run", ""))}
    assert called == {"book", "links", "lint", "tests"} <= sessions


def test_pre_commit_formats_with_the_ruff_that_is_tested():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["rev"] == f"v{PINS['ruff']}"


def test_the_container_installs_what_is_tested():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"].endswith("pip install nox && nox -s book")
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"] == ".venv/bin/python"
    version = container["image"].rpartition(":")[2]
    assert version in SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize(("colour", "ground"), [("5f5f5f", "ffffff"), ("a0a0a0", "121212")])
def test_the_drawing_of_barlow_twins_stands_out_in_either_theme(colour, ground):
    """WCAG's contrast of small text, of what is no colour of the drawing itself."""
    drawing = (BOOK / "_static/barlow_twins.svg").read_text(encoding="utf-8")
    assert f"color: #{colour}" in drawing
    shades = [int(code[:2], 16) / 255 for code in (colour, ground)]
    dark, light = sorted(((shade + 0.055) / 1.055) ** 2.4 for shade in shades)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


#: The paper's references, by arXiv's number.
CITED_BY_THE_PAPER = {
    *("2106.11342", "1903.12261", "1901.09960", "1906.12340", "1710.09412", "1912.02781"),
    *("2103.03230", "1606.00915"),
}


def test_the_bibliography_leads_to_what_it_names_and_holds_the_papers():
    found = set()
    for key, entry in BIBLIOGRAPHY.items():
        journal, url, doi = (entry.fields.get(name, "") for name in ("journal", "url", "doi"))
        if "arxiv" in (journal + url).lower():
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", url), key
            (number,) = set(re.findall(r"\d{4}\.\d{4,5}", journal + url))
            found.add(number)
        elif doi or url or int(entry.fields["year"]) > 1970:
            assert re.fullmatch(r"10\.\d{4,9}/\S+|https://\S+", doi or url), key
        else:  # printed, in a journal without addresses of its articles: a library finds it
            assert entry.fields["volume"], key
            assert re.fullmatch(r"\d+--\d+", entry.fields["pages"]), key
    assert found >= CITED_BY_THE_PAPER


def test_what_is_cited_is_in_the_bibliography():
    pages = [
        page for kind in ("*.md", "results/*.md", "experiments/*.py") for page in BOOK.glob(kind)
    ]
    texts = "".join(page.read_text(encoding="utf-8") for page in pages)
    cited = set(",".join(re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", texts)).split(","))
    assert cited
    assert cited <= set(BIBLIOGRAPHY)


def test_what_is_to_be_cited_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (study,) = citation["references"]
    cited = BIBLIOGRAPHY["team34"]
    for name in ("title", "url"):
        assert study[name] == cited.fields[name]
    assert (str(study["year"]), study["notes"]) == (cited.fields["year"], cited.fields["note"])
    authors = [(person["given-names"], person["family-names"]) for person in study["authors"]]
    assert authors == [
        (*person.first_names, *person.last_names) for person in cited.persons["author"]
    ]
    page = (BOOK / "bibliography.md").read_text()
    first, second = list(BIBLIOGRAPHY)[:2]
    assert first == "team34"
    assert (
        f'{{literalinclude}} references.bib\n:language: bibtex\n:end-before: "@article{{{second}"'
        in page
    )
    software = parse_string(re.search(r"```bibtex\n(.+?)```", page, re.S)[1], "bibtex")
    fields = software.entries["robustness_report"].fields
    assert [fields[name] for name in ("title", "version", "license")] == [
        citation[name] for name in ("title", "version", "license")
    ]
    assert fields["year"] == str(citation["date-released"].year)
    assert [PROJECT[name] for name in ("version", "description", "license")] == [
        citation[name] for name in ("version", "title", "license")
    ]
