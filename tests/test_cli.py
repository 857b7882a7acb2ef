"""The command line: help, completion, exit codes, errors in one line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import made_up
from helpers import ROOT, InputError, __main__, cli, doctor
from helpers.experiment.fetch import PublishedFile
from helpers.report import records
from helpers.runs import config, plan

COMMANDS = ["run", "status", "verify", "doctor", "ship", "examples", "tables"]


@pytest.fixture
def call_here(monkeypatch, capsys):
    """Call a command in this process; return its exit code, output and errors."""

    def call_command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["helpers", *words])
        return __main__.main(), *capsys.readouterr()

    return call_command


def test_help_lists_commands_and_exit_codes_and_imports_no_torch():
    code = "import sys; from helpers.__main__ import main; main()"
    code += "; assert 'torch' not in sys.modules"
    for words in ([], ["status", "--only", "pets_*"]):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, done.stderr) == (0, "")
        if not words:
            listed = done.stdout.partition("Commands:")[2]
            assert re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE) == COMMANDS
            for text in ("0 success", "1 runs failed", "2 bad input", "130 stopped", "143 stopped"):
                assert text in " ".join(done.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_with_options_that_it_has(call_here, command):
    code, text, _ = call_here(command, "--help")
    examples = re.findall(rf"^ *Example: python -m helpers {command}(.*)$", text, re.MULTILINE)
    assert code == 0
    assert examples
    for option in re.findall(r"(?<= )--?[a-z]+", " ".join(examples)):
        assert option in text.partition("Options:")[2]


def test_readme_lists_all_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `python -m helpers (\w+)", text, re.MULTILINE) == COMMANDS


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("", set(COMMANDS)),
        ("run --jo", {"--jobs"}),
    ],
)
def test_the_shell_completes_names(typed, known):
    words = {"_HELPERS_COMPLETE": "complete_bash", "COMP_WORDS": f"helpers {typed}"}
    code = "import sys; sys.argv = ['helpers']; from helpers.__main__ import main; main()"
    env = os.environ | words | {"COMP_CWORD": str(max(1, len(typed.split())))}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.split()
    assert set(done.stdout.split()) <= known, done.stderr


ONE = ["--only", "pathmnist_basic", "--seeds", "98"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--profile", "smok"], "did you mean smoke?"),
        (["run", "--only", "pathmnist_basik"], "did you mean pathmnist_basic?"),
        (["run", "--seeds", "3-1"], "'3-1'"),
        (["run", "-p", "epochs=0"], "epochs: "),
        (["run", "-p", "results=/dev/null/x"], "cannot write /dev/null"),
        (
            ["run", *ONE, "-p", "data_source=data/typo.npz", "-p", "results=results/none"],
            "data_source: ",
        ),
        (["status", "-p", "epoch=1"], "did you mean epochs?"),
        (["run", "-p", "corruptions={[]:1}"], "corruptions: "),
        (["run", "-p", "seed=9"], "use --seeds"),
        (["run", *ONE, "-p", "weight_decoy=9"], "weight_decay"),
        (["run", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["rum"], "No such command 'rum'"),
        (["tables", "9"], "less than or equal to 8"),
        (["tables", "1", "--format", "xls"], "choose from md, csv, latex"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(call_here, words, message):
    code, _, errors = call_here(*words)
    assert code == 2
    assert message in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "foo://x:1"])
def test_a_scheduler_that_cannot_be_reached_is_named(call_here, tmp_path, address):
    words = [*ONE, "-p", f"results={tmp_path}", "--scheduler", address]
    code, _, errors = call_here("run", *words)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"cannot reach the scheduler {address}; start one with" in errors


def test_status_shows_the_profile_of_the_book_and_shipped_runs(call_here, monkeypatch, tmp_path):
    for module in (cli, plan, records):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "book").mkdir()
    for seed in (0, 1):
        made_up.write_run(tmp_path / "records/short", "short", "pathmnist_basic", seed)
    made_up.forget()
    code, text, _ = call_here("status", "--only", "p*s_s*")
    assert (code, text.splitlines()[0]) == (1, f"{'pets_scratch seed 0':<32} missing")
    code, text, _ = call_here("status", "--only", "pathmnist_basic", "--seeds", "0-1")
    assert [line.split()[3] for line in text.splitlines()[:-1]] == ["shipped", "shipped"]
    assert code == 0
    made_up.write_run(tmp_path / "results/mine", "smoke", "pathmnist_basic", 0)
    made_up.show(monkeypatch, "results/mine", "")
    _, text, _ = call_here("status", "--only", "pathmnist_basic", "--seeds", "0")
    made_up.forget()
    assert "results/mine/pathmnist_basic/seed-0" in text  # which has other parameters


def test_a_full_disk_under_the_output_is_one_line():
    if not Path("/dev/full").exists():  # Linux has a disk that is always full
        return
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "helpers", "status"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: [Errno 28] No space left on device\n")


def test_a_package_apart_from_its_repository_says_so(tmp_path):
    copy = tmp_path / "lib" / "site" / "helpers"
    shutil.copytree(ROOT / "src" / "helpers", copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "helpers", "status"],
        env=os.environ | {"PYTHONPATH": str(copy.parent)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "installed without its repository" in done.stderr


def test_ctrl_c_during_the_first_imports_ends_as_later():
    code = """
import sys
class Stop:
    def find_spec(self, name, *others):
        if name == "helpers.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from helpers.__main__ import main
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 130
    assert done.stderr == "stopped; the same command continues with what is missing\n"


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Write a profile that differs from ``smoke`` in these values, and return its name."""

    def write(**changes) -> str:
        values = config.yaml.safe_load((ROOT / "profiles/smoke.yaml").read_text())
        values |= {"results": str(tmp_path / "results"), "data_dir": str(tmp_path / "data")}
        monkeypatch.setattr(config, "PROFILES", tmp_path)
        text = config.yaml.safe_dump(values | changes)
        (tmp_path / "mine.yaml").write_text(text)
        return "mine"

    return write


def test_doctor_finds_what_smoke_needs(call_here):
    code, text, _ = call_here("doctor")
    assert code == 0
    assert re.search(r"^ok +initial weights .*pathmnist_mixup.* makes it$", text, re.MULTILINE)


def test_doctor_names_what_is_missing_and_the_remedy(call_here, profile, tmp_path, monkeypatch):
    name = profile(data_source="official", initialisation="typo/weights.pt")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pathmnist.npz").write_bytes(b"cut short")
    code, text, _ = call_here("doctor", "--profile", name)
    assert code == 1
    lines = [line for line in text.splitlines() if line.startswith("MISSING")]
    remedy = "delete it; then `python -m helpers doctor --profile mine --fetch` downloads it"
    assert any("pathmnist.npz: damaged" in line and remedy in line for line in lines)
    assert any("annotations.tar.gz (MD5" in line for line in lines)
    assert any("typo/weights.pt: missing; correct initialisation" in line for line in lines)
    name = profile(data_source="data/typo.npz", initialisation="random")
    assert (
        "data/typo.npz: missing; correct data_source" in call_here("doctor", "--profile", name)[1]
    )


def test_doctor_and_run_fetch_what_is_missing_once(call_here, profile, tmp_path, monkeypatch):
    def refuse(wanted):
        fetched.append(wanted)
        raise InputError(f"cannot get {wanted} from nowhere")

    fetched = []
    monkeypatch.setattr(PublishedFile, "fetch", lambda file: refuse(file.path.name))
    name = profile(data_source="official", initialisation="random")
    code, text, _ = call_here("doctor", "--profile", name, "--fetch")
    assert code == 1
    assert len(re.findall("^MISSING .* from nowhere$", text, re.MULTILINE)) == len(fetched) >= 2
    monkeypatch.setattr(doctor, "fetch_published", lambda jobs: refuse(len(jobs)))
    words = ["--profile", name, "--only", "pathmnist_basic", "--seeds", "0-1"]
    code, _, errors = call_here("run", *words)
    assert (code, errors) == (2, "error: cannot get 2 from nowhere\n")
