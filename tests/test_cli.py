"""The command line explains itself, and looks before it removes."""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import made_up
from helpers import ROOT, InputError, __main__, doctor
from helpers.catalogue import PUBLISHED, Published
from helpers.experiment import inventory
from helpers.experiment.downloads import digest_file
from helpers.report.paper import read_reference
from helpers.runs import leftovers, parameters
from helpers.runs.claims import claim

COMMANDS = ["run", "status", "verify", "doctor", "tables", "clean"]


def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "helpers", *arguments]
    env = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env)


def call_here(monkeypatch, *arguments: str) -> int:
    """Return the exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["helpers", *arguments])
    return __main__.main()


def test_alone_it_tells_what_there_is():
    done = call()
    assert (done.returncode, done.stderr) == (0, "")
    listed = re.findall(r"^  ([a-z]+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == COMMANDS
    assert "..." not in done.stdout.partition("Commands:")[2]  # no line is cut
    for code in ("0 all is well", "1 runs failed", "2 bad input", "130 stopped"):
        assert code in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_name_what_it_takes(monkeypatch, capsys, command):
    assert call_here(monkeypatch, command, "--help") == 0
    text = capsys.readouterr().out
    examples = re.findall(rf"^    python -m helpers {command}(.*)$", text, re.MULTILINE)
    assert examples
    for option in re.findall(r"(?<= )--?[a-z]+", " ".join(examples)):
        assert option in text.partition("Options:")[2]


def test_readme_lists_all_commands_and_exit_codes():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `python -m helpers (\w+)", text, re.MULTILINE) == COMMANDS
    assert "The exit code is 0 if all is well, 1 if runs failed" in " ".join(text.split())


def test_the_shell_completes_commands():
    words = {"_HELPERS_COMPLETE": "complete_bash", "COMP_WORDS": "helpers ", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['helpers']; from helpers.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | words, capture_output=True, text=True
    )
    assert done.stdout.split() == COMMANDS


def test_it_completes_its_own_name_and_not_python_s():
    script = call(_HELPERS_COMPLETE="source_bash").stdout
    assert re.search(r"^complete .* helpers$", script, re.MULTILINE)
    assert "_HELPERS_COMPLETE=complete_bash" in script


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_under_the_output_is_told_in_a_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-u", "-m", "helpers", "status"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "error: [Errno 28] No space left on device\n"


def test_ctrl_c_during_the_first_imports_ends_as_later():
    code = """
import sys
class Stop:
    def find_spec(self, name, *others):
        if name == "helpers.commands":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from helpers.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 130
    assert done.stderr == "stopped; the same command goes on with what is missing\n"


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("run --profile s", {"smoke"}),
        ("status --only pets_s", {"pets_scratch", "pets_supervised"}),
        ("run --jo", {"--jobs"}),
    ],
)
def test_the_shell_completes_names(typed, known):
    words = {"_HELPERS_COMPLETE": "complete_bash", "COMP_WORDS": f"helpers {typed}"}
    code = "import sys; sys.argv = ['helpers']; from helpers.__main__ import main; main()"
    env = os.environ | words | {"COMP_CWORD": str(len(typed.split()))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert set(done.stdout.split()) == known, done.stderr


def test_doctor_finds_what_smoke_needs(capsys, monkeypatch):
    code = call_here(monkeypatch, "doctor")
    packages, lines = [], []
    for line in capsys.readouterr().out.splitlines():
        (packages if line.split()[1] == "packages" else lines).append(line)
    assert code == packages[0].startswith("MISSING")  # of tools that only lint takes
    assert {line.split()[0] for line in lines} == {"ok"}
    assert any("pathmnist, 28 px" in line and "embedded stand-in" in line for line in lines)
    assert any(line.split()[1] == "memory" for line in lines)


def test_doctor_names_what_the_study_lacks_and_where_it_is(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pathmnist.npz").write_bytes(b"cut short")
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr("helpers.experiment.downloads.ROOT", tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy==0.1\nno-such-package==1\n")
    assert call_here(monkeypatch, "doctor", "--profile", "paper") == 1
    text = capsys.readouterr().out
    lacking = [line for line in text.splitlines() if line.startswith("MISSING")]
    assert "0 of 2 as in requirements.txt; numpy" in lacking[0]
    assert "no-such-package missing: pip install" in lacking[0]
    mend = "delete it; then `python -m helpers doctor --profile paper --fetch` gets it"
    assert f"data/pathmnist.npz: damaged; {mend}" in lacking[1]
    assert "MD5 a8b06965200029087d5bd730944a56c1" in lacking[1]
    assert "images.tar.gz" in lacking[2]
    assert [line.split()[1] for line in lacking[3:]] == ["barlow_twins,", "imagenet,", "imagenet,"]


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Write a profile that differs from ``smoke`` in these values."""
    monkeypatch.setattr(parameters, "PROFILES", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(**changes):
        values = parameters.yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
        values |= {"results": str(tmp_path / "results")} | changes
        (tmp_path / "mine.yaml").write_text(parameters.yaml.safe_dump(values))

    return write


def find_line(monkeypatch, capsys, word):
    """Return the doctor's line on what a word is in, and the exit code, packages left out."""
    monkeypatch.setattr(doctor, "_compare_packages", lambda: ("packages", "", True))
    code = call_here(monkeypatch, "doctor", "--profile", "mine")
    captured = capsys.readouterr()
    assert captured.err == ""
    return next(line for line in captured.out.splitlines() if word in line), code


@pytest.mark.parametrize(
    "start",
    [
        "mine.pt",
        "data/mine.pt",
        "~/elsewhere/mine.pt",
        "results/smoke/pretrain_supervised/seed-0/weights.pt",  # of another profile
        "{results}/pretrain_supervised/seed-0/typo.pt",
        "{results}/pets_scratch/seed-0/weights.pt",  # which leaves no weights
    ],
)
def test_doctor_names_a_start_that_nothing_makes(tmp_path, monkeypatch, capsys, profile, start):
    monkeypatch.setattr("helpers.experiment.downloads.ROOT", tmp_path / "nothing is here")
    start = start.format(results=tmp_path / "results")
    profile(initialisation=start)
    line, code = find_line(monkeypatch, capsys, f" {start}, ")
    assert line.startswith("MISSING")
    assert "no run of this profile makes it; make it with a pretraining notebook" in line
    assert code == 1


def test_doctor_knows_the_start_that_the_batch_makes(tmp_path, monkeypatch, capsys, profile):
    profile()
    line, code = find_line(monkeypatch, capsys, "pretrain_barlow_twins/seed-0/weights.pt, ")
    assert (line.split()[0], code) == ("ok", 0)
    assert line.endswith("missing; the batch makes it first")


def test_doctor_finds_what_lies_at_home(tmp_path, monkeypatch, capsys, profile):
    for name in ("mine.pt", "mine.npz"):
        (tmp_path / name).touch()
    profile(initialisation="~/mine.pt", data_source="~/mine.npz", data_dir="~")
    line, code = find_line(monkeypatch, capsys, " ~/mine.pt, ")
    assert (line.split()[0], code) == ("ok", 0)
    line, _ = find_line(monkeypatch, capsys, "own data in ~/mine.npz")
    assert line.split()[0] == "ok"


def test_doctor_gets_what_is_missing(tmp_path, monkeypatch, capsys, profile):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "published.pth")
    address = (tmp_path / "published.pth").as_uri()
    sha256 = digest_file(tmp_path / "published.pth")[:8]
    monkeypatch.setitem(PUBLISHED, ("imagenet", "resnet18"), Published(address, sha256))
    profile(initialisation="imagenet", stand_in_weights={}, data_dir=str(tmp_path / "data"))
    line, code = find_line(monkeypatch, capsys, "imagenet, resnet18")
    assert (line.split()[0], code) == ("MISSING", 1)
    assert "`python -m helpers doctor --profile mine --fetch` gets it, or put there file" in line
    assert call_here(monkeypatch, "doctor", "--profile", "mine", "--fetch") == 0
    assert re.search("^ok .*imagenet, resnet18 .*as published", capsys.readouterr().out, re.M)
    line, code = find_line(monkeypatch, capsys, "imagenet, resnet18")
    assert (line.split()[0], code) == ("ok", 0)
    assert "as published" in line


def test_doctor_goes_on_after_what_it_cannot_get(tmp_path, monkeypatch, capsys, profile):
    def refuse(name, source, folder, size):
        raise InputError(f"cannot get {name} from nowhere")

    monkeypatch.setattr("helpers.experiment.load_data", refuse)
    profile(data_source="official", initialisation="random", data_dir=str(tmp_path / "data"))
    assert call_here(monkeypatch, "doctor", "--profile", "mine", "--fetch") == 1
    lines = capsys.readouterr().out.splitlines()
    lacking = [line for line in lines if line.startswith("MISSING") and "from nowhere" in line]
    assert [line.split()[1] for line in lacking] == ["pathmnist,", "pets,"]


def test_real_images_in_the_layout_of_pets_are_seen(pets_root):
    item = inventory.look_up_data("pets", 224, str(pets_root))
    assert (item.state, item.path) == ("a part", pets_root / "oxford-iiit-pet")


def test_clean_removes_no_record_and_nothing_of_a_living_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leftovers, "ROOT", tmp_path)
    record = made_up.write_run(tmp_path / "results/smoke", "smoke", "pets_scratch", 0)
    beside = record.folder.parent
    dead, living, idle = (beside / f".seed-{n}" for n in ("1.0123.new", "2.checkpoint", "3.lock"))
    dead.mkdir()
    (dead / "predictions.npz").write_bytes(b"half")
    living.write_bytes(b"state")
    idle.touch()
    (tmp_path / "book/_build").mkdir(parents=True)
    (tmp_path / "data/cache").mkdir(parents=True)
    with FileLock(beside / ".seed-2.lock"):
        before = set(tmp_path.rglob("*"))
        assert call_here(monkeypatch, "clean", "--yes") == 0
        gone = before - set(tmp_path.rglob("*"))
    assert f"{4:>14,} bytes  {dead}" in capsys.readouterr().out
    assert gone == {dead, dead / "predictions.npz", tmp_path / "book/_build"}
    record.check()
    call_here(monkeypatch, "clean", "--yes")
    assert not living.exists()  # nobody holds its claim any more
    capsys.readouterr()
    assert call_here(monkeypatch, "clean") == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_clean_puts_back_a_record_whose_successor_never_came(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leftovers, "ROOT", tmp_path)
    record = made_up.write_run(tmp_path / "results/smoke", "smoke", "pets_scratch", 0)
    record.folder.rename(record.folder.with_name(".seed-0.0123.old"))
    assert call_here(monkeypatch, "clean", "--yes") == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    record.check()


def test_clean_leaves_what_was_taken_up_while_it_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "ROOT", tmp_path)
    state = tmp_path / "results/smoke/pets_scratch/.seed-2.checkpoint"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"state")
    listed = [path for path, _ in leftovers.list_leftovers()]
    assert listed == [state]
    with claim(state.with_name("seed-2")):
        leftovers.remove(listed)
        assert state.exists()
    leftovers.remove(listed)
    assert not state.exists()


def test_clean_asks_and_takes_no_for_an_answer(tmp_path):
    code = (
        "import sys; from pathlib import Path; from helpers import __main__;"
        f"from helpers.runs import leftovers; leftovers.ROOT = Path({str(tmp_path)!r});"
        "sys.argv = ['helpers', 'clean']; sys.exit(__main__.main())"
    )
    (tmp_path / "book/_build").mkdir(parents=True)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input="n\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "book/_build").exists()
    assert "Remove these 0 bytes?" in done.stdout


def test_clean_without_an_answer_removes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leftovers, "ROOT", tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    state = tmp_path / "results/smoke/pets_scratch/.seed-2.checkpoint"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"state")
    assert call_here(monkeypatch, "clean") == 2
    told = capsys.readouterr()
    assert f"{state} (the next run would go on from it)" in told.out
    assert told.err.endswith("error: clean asks, and nobody answers; --yes does not ask\n")
    assert state.exists()


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    results = tmp_path_factory.mktemp("results")
    made_up.write_records(results, "made_up")
    return results


def test_tables_come_as_all_formats(shown):
    values = read_reference().query("table == 5").value
    for form in ("md", "csv", "latex"):
        done = call("tables", "5", "--format", form, REPORT_RESULTS=str(shown))
        assert done.returncode == 0, done.stderr
        for value in values:
            assert f"{value:.1f}" in done.stdout
    assert r"\toprule" in done.stdout
    refused = call("tables", "5", "--format", "xls", REPORT_RESULTS=str(shown))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert call("tables", "9").returncode == 2


def test_all_tables_are_one_csv_without_a_damaged_record_of_which_it_tells(shown, tmp_path):
    results = shutil.copytree(shown, tmp_path / "results")
    with (results / "pets_scratch/seed-1/metrics.csv").open("a") as file:
        file.write("\n")
    done = call("tables", "--format", "csv", REPORT_RESULTS=str(results))
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["table"] for row in rows} == set("12345678")
    assert len(rows) == len(read_reference())
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: pets_scratch seed 1 is left out: metrics.csv differs")
    assert line.endswith("--only pets_scratch --seeds 1")


def test_the_profile_that_is_named_wins(shown):
    refused = call("tables", "1", "--profile", "no_such", REPORT_RESULTS=str(shown))
    assert refused.returncode == 2
    assert "no profile or folder of runs 'no_such'" in refused.stderr


def test_without_a_terminal_nothing_but_text_is_printed(shown):
    for words in (["status", "--only", "pathmnist_b*"], ["doctor"], ["--help"], ["run", "--help"]):
        done = call(*words)
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.stdout + done.stderr)
