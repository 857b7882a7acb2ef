"""The worked example of the page "Extend" and README's own questions, carried out in a copy."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import made_up
from helpers import ROOT
from helpers.report import beyond
from helpers.runs.record import read_records

PAGE = (ROOT / "book/extend.md").read_text(encoding="utf-8")
SED, LINES = re.findall(r"```bash\n([^`]*)```", PAGE)
COMMANDS = LINES.splitlines()
README = (ROOT / "README.md").read_text(encoding="utf-8")


def call(
    copy: Path, command: str, *more: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess:
    """Run a command line as it stands in the text, in the copy and with its code."""
    python = Path(sys.executable)
    places = {"python": str(python), "jupyter-book": str(python.with_name("jupyter-book"))}
    words = [places.get(word, word) for word in shlex.split(command, comments=True)]
    env = os.environ | {"PYTHONPATH": str(copy / "src")} | variables
    done = subprocess.run([*words, *more], cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    if "helpers" in words:
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.stdout + done.stderr)  # quiet in a log
    return done


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the project that the page's code blocks were put into."""
    copy = tmp_path_factory.mktemp("project")
    leave = shutil.ignore_patterns("_build", "runs", "__pycache__")
    shutil.copytree(ROOT / "book", copy / "book", ignore=leave)
    shutil.copytree(ROOT / "profiles", copy / "profiles")
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=leave)
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
    return copy


@pytest.fixture(scope="module")
def digits(copy):
    """What the page's commands leave: the run of the new experiment, and its status before."""
    subprocess.run(["bash", "-c", SED], cwd=copy, check=True)
    before = call(copy, COMMANDS[0], code=1).stdout
    call(copy, COMMANDS[1], "--seeds", "0")
    (record,) = read_records(copy / "results/smoke")
    return before, record


def test_the_new_experiment_is_known_and_runs_on_the_new_data_and_corruption(digits):
    before, record = digits
    assert before.splitlines()[-1] == "0 done, 3 missing, 0 failed, 0 damaged"
    assert record.experiment == "digits_fog"
    assert record.run["data"]["name"] == "digits"
    assert record.run["data"]["test"] == 360
    assert record.metrics.corruption.tolist() == ["clean", *["brightness"] * 4, *["fog"] * 3]
    accuracy = record.metrics.accuracy
    assert accuracy[0] > 0.5  # it has learned what the loader gave it
    assert accuracy.iloc[-1] != accuracy[0]


def test_the_book_shows_it_beside_the_six(digits, copy):
    _, record = digits
    results = copy / "results/made_up"
    made_up.write_records(results, "made_up")
    place = results / "digits_fog/seed-0"
    shutil.copytree(record.folder, place)
    shutil.copy(record.notebook, place.with_suffix(".ipynb"))
    call(copy, COMMANDS[-1], REPORT_PROFILE="made_up")
    html = copy / "book/_build/html"
    assert "<h1>Digits in fog" in (html / "runs/digits_fog.html").read_text(encoding="utf-8")
    assert 'href="runs/digits_fog.html"' in (html / "runs.html").read_text(encoding="utf-8")
    assert "Digits" not in (html / "index.html").read_text(encoding="utf-8").partition("<main")[2]
    rows = re.findall(r"<tr.*?</tr>", (html / "extend.html").read_text(encoding="utf-8"), re.DOTALL)
    cells = [re.sub(r"<[^>]*>", " ", row).split() for row in rows]
    rows = [row for row in cells if row[0] == "digits_fog"]
    assert [row[1] for row in rows] == ["clean", "brightness", "fog"]
    fog = record.metrics.query("corruption == 'fog'")
    assert f"{100 * fog.accuracy.mean():.1f}" in rows[-1]


def test_the_text_s_own_command_runs_the_new_corruption(copy):
    (command,) = re.findall(r"`(python -m helpers run [^`]*)`", PAGE)
    call(copy, command, "--seeds", "0")
    (record,) = read_records(copy / "results/fog")
    assert record.metrics.corruption.tolist() == ["clean", "fog", "fog"]


def test_what_was_added_has_the_style_of_the_project(digits, copy):
    for tool in ("check", "format --check"):
        call(copy, f"python -m ruff {tool} --config {ROOT / 'pyproject.toml'} src book/experiments")


def test_without_more_experiments_the_page_says_so(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.show(monkeypatch, tmp_path, "made_up")
    assert "nothing besides the paper's cells" in beyond.show_beyond().data


def test_the_new_initialisation_is_fetched_by_its_entry(copy):
    (copy / "data").write_text("no folder")  # so that the download ends before the network
    code = "from helpers.experiment.weights import load_weights as l; l('resnet50', 'imagenet_v2',"
    command = [sys.executable, "-c", f"{code} 'data')"]
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    (copy / "data").unlink()
    assert "put https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in done.stderr


def test_a_run_starts_from_the_new_initialisation(copy, tmp_path):
    """As the page says, but for address and checksum: those of weights that lie here."""
    weights = tmp_path / "weights.pth"
    torch.save(torchvision.models.resnet50().state_dict(), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    catalogue = copy / "src/helpers/catalogue.py"
    before = catalogue.read_text(encoding="utf-8")
    entry = before.replace(
        "https://download.pytorch.org/models/resnet50-11ad3fa6.pth", weights.as_uri()
    )
    catalogue.write_text(entry.replace("11ad3fa6", digest[:8]), encoding="utf-8")
    asked = "-p initialisation=imagenet_v2 -p network=resnet50 -p results=results/v2"
    call(copy, f"python -m helpers run --only pets_supervised --seeds 0 {asked}")
    catalogue.write_text(before, encoding="utf-8")
    (record,) = read_records(copy / "results/v2")
    assert record.run["weights"] == {
        "initialisation": "imagenet_v2",
        "official": True,
        "sha256": digest,
    }


@pytest.fixture(scope="module")
def own_data(copy) -> None:
    """Own data where README says that they lie: as a file and as a folder of images."""
    (copy / "data/mine").mkdir(parents=True)
    generator = np.random.default_rng(0)
    arrays = {}
    for split, count in {"train": 24, "val": 8, "test": 8}.items():
        images = generator.integers(256, size=(count, 32, 40), dtype=np.uint8)
        labels = np.arange(count)[:, None] % 2
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
        for number, image in enumerate(images):
            folder = copy / "data/mine" / split / ("even", "odd")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:02}.png")
    np.savez(copy / "data/mine.npz", **arrays)


def own_questions() -> list[str]:
    section = README.split("## A question of your own")[1].split("\n## ")[0]
    lines = "\n".join(re.findall(r"```bash\n([^`]*)```", section)).replace("\\\n", " ")
    return [line for line in lines.splitlines() if line.startswith("python -m helpers run")]


@pytest.mark.parametrize("command", own_questions())
@pytest.mark.usefixtures("own_data")
def test_a_question_of_readme_is_answered(copy, command):
    asked = shlex.split(command, comments=True)
    (results,) = (word for word in asked if word.startswith("results="))
    folder = copy / results.removeprefix("results=")
    before = {record.folder for record in read_records(folder)}
    # One arm instead of all; the last --only counts.
    only = ["--only", "pathmnist_basic"] if not re.search(r"--only \w+ ", command) else []
    call(copy, command, *only, "--seeds", "0")
    made = [record for record in read_records(folder) if record.folder not in before]
    assert made
    source = next((w[len("data_source=") :] for w in asked if w.startswith("data_source=")), None)
    if source:
        assert {record.run["data"]["name"] for record in made} == {"mine"}
        assert {record.run["data"]["train"] for record in made} == {24}


def test_readme_s_papermill_leaves_a_record(copy):
    (lines,) = re.findall(r"```bash\n(jupytext .*\n(?:.*\n)*?)```", README)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PYTHONPATH": str(copy / "src"), "PATH": path}
    done = subprocess.run(["bash", "-ec", lines], cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = read_records(copy / "results/hand")
    assert (record.experiment, record.seed) == ("pathmnist_basic", 3)
    assert (copy / "executed.ipynb").is_file()


def test_readme_s_book_shows_the_folder_of_the_question(copy):
    (line,) = re.findall(r"^REPORT_PROFILE=mine (jupyter-book .*)$", README, re.MULTILINE)
    shutil.rmtree(copy / "results/mine", ignore_errors=True)  # one arm does not make a book
    made_up.write_records(copy / "results/mine", "mine", seeds=[6])
    call(copy, line, REPORT_PROFILE="mine")
    overview = (copy / "book/_build/html/index.html").read_text(encoding="utf-8")
    made_from = re.sub(r"<[^>]+>", "", overview).split("This build:")[1].split("commit")[0]
    assert made_from.split(";")[0].strip() == "profile mine"
    assert "1 seed (6)" in made_from
