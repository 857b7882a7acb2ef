"""nox's environment: made once, honours nox's options, and never another checkout's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ROOT

#: Builds the editable install of a checkout without setuptools and without a network.
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, *_):
    info, name = "robustness_report-1.dist-info", "robustness_report-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("checkout.pth", str(Path.cwd()))
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: robustness-report\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""  # noqa: E501
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def run_nox(folder: Path, *arguments: str, expect: int = 0) -> str:
    command = [sys.executable, "-m", "nox", "-f", str(folder / "noxfile.py"), *arguments]
    environment = os.environ | {"PIP_NO_INDEX": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == expect, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A folder with this noxfile, whose session bench prints the folder that it imports from."""
    folder = tmp_path_factory.mktemp("a b") / "first"
    (folder / "benchmarks").mkdir(parents=True)
    shutil.copy(ROOT / "noxfile.py", folder)
    (folder / "requirements.txt").write_text("--editable .\n")
    (folder / "constraints.txt").write_text("")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "benchmarks/__main__.py").write_text("import backend\nprint(backend.__file__)\n")
    said = run_nox(folder, "-s", "bench", "--install-only")
    assert "pip install" in said
    assert "backend.py" not in said
    return folder


def test_an_environment_is_installed_once(checkout):
    for options in ([], ["-R"], ["--no-install"]):
        said = run_nox(checkout, *options, "-s", "bench")
        assert "pip install" not in said
        assert str(checkout / "backend.py") in said


def test_changed_requirements_are_installed_unless_no_install_is_given(checkout):
    (checkout / "constraints.txt").write_text("# changed\n")
    said = run_nox(checkout, "-R", "-s", "bench")
    assert "requirements changed" in said
    assert "pip install" not in said
    assert "pip install" in run_nox(checkout, "-s", "bench")
    assert "pip install" not in run_nox(checkout, "-s", "bench")
    (checkout / "requirements.txt").write_text("--editable .\nno-such-package\n")
    for _ in range(2):  # a failed install is repeated
        assert "pip install" in run_nox(checkout, "-s", "bench", expect=1)
    (checkout / "requirements.txt").write_text("--editable .\n")
    assert "pip install" in run_nox(checkout, "-s", "bench")


def test_a_copied_checkout_runs_its_own_code(checkout, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(checkout, copy, symlinks=True)
    stamp = copy / ".venv/made-by-nox.json"
    stamp.rename(copy / "aside")  # as in an environment that nox did not make: never deleted
    said = run_nox(copy, "-s", "bench", expect=1)
    assert f".venv holds the code of {checkout}: remove it, then run nox again" in said
    (copy / "aside").rename(stamp)
    said = run_nox(copy, "-R", "-s", "bench")
    assert f".venv belongs to {checkout}: making a new one" in said
    assert str(copy / "backend.py") in said
    assert str(checkout / "backend.py") not in said


def test_parameters_are_no_business_of_the_book(checkout):
    said = run_nox(checkout, "-s", "book", "--", "-p", "epochs=1", expect=1)
    assert "nox -s book takes no -p" in said
