"""Checkpoints of foreign origin: verified, and refused in one line before they do harm."""

import ast
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from helpers import ROOT, InputError
from helpers.experiment.weights import load_weights, pack_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "weights.pt"
    state = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    path.write_bytes(pack_checkpoint("resnet18", state, [0.5] * 3, [0.2] * 3))
    return path


def unzip(path):
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_a_checkpoint_that_would_fill_the_memory_is_refused(checkpoint):
    """Compressed zeros: a quarter of a gigabyte in a quarter of a megabyte."""
    entries = unzip(checkpoint)
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            with archive.open(name, "w") as file:
                for _ in range(2**8 if "/data/" in name else 0):
                    file.write(bytes(2**20))
                file.write(content)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"it would unpack to 2\d\d,\d{3},\d{3}"):
        load_weights("resnet18", str(checkpoint), "nowhere")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_a_changed_bit_in_a_weight_is_found(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(InputError, match="data/0 differs from its checksum"):
        load_weights("resnet18", str(checkpoint), "nowhere")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("pickle_alone", [False, True])
def test_a_fuzzed_checkpoint_is_refused_in_one_line(checkpoint, pickle_alone):
    """Bytes changed or cut off, in the file or where its checksums are right: no other error."""
    rng = np.random.default_rng(0)
    entries, whole, refused = unzip(checkpoint), checkpoint.read_bytes(), 0
    for _ in range(150):
        (name,) = (name for name in entries if name.endswith("data.pkl"))
        content = bytearray(entries[name] if pickle_alone else whole)
        for place in rng.integers(len(content), size=rng.integers(1, 5)):
            content[place] = rng.integers(256)
        if pickle_alone:
            with zipfile.ZipFile(checkpoint, "w") as archive:
                for entry, original in (entries | {name: bytes(content)}).items():
                    archive.writestr(entry, original)
        else:
            checkpoint.write_bytes(content[: rng.integers(len(content))])
        try:
            load_weights("resnet18", str(checkpoint), "nowhere")
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 75


@pytest.mark.parametrize(
    "change",
    [{"state": 3}, {"state": {"conv1.weight": [0.0]}}, {"mean": [0.5]}, {"std": [0.2, 0.0, 0.2]}],
)
def test_a_checkpoint_of_other_contents_is_refused(checkpoint, change):
    torch.save(torch.load(checkpoint, weights_only=True) | change, checkpoint)
    with pytest.raises(InputError, match="is no checkpoint of a pretraining notebook"):
        load_weights("resnet18", str(checkpoint), "nowhere")


UNSAFE = {"pickle", "dill", "joblib", "shelve", "marshal", "eval", "exec", "yaml.load"}
UNSAFE |= {"compile", "os.system", "torch.hub.load", "allow_pickle=True", "shell=True"}


def list_unsafe(source):
    """Return what of a module would run what a foreign file says."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {getattr(node, "module", ""), *(a.name for a in node.names)}
        if isinstance(node, ast.Call) and ast.unparse(node) != "exec('')":
            found |= {ast.unparse(node.func), *map(ast.unparse, node.keywords)}
            if ast.unparse(node.func) == "torch.load" and "weights_only=True" not in found:
                return {"torch.load"}
    return found & UNSAFE


def test_no_module_runs_what_a_file_says():
    for path in (ROOT / "src").rglob("*.py"):
        assert not list_unsafe(path.read_text(encoding="utf-8")), path
    for source in ("eval(x)", "import pickle", "torch.load(p)", "np.load(p, allow_pickle=True)"):
        assert list_unsafe(source)
