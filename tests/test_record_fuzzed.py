"""Whatever happens to the files of a record or a checkpoint: named and left out, never believed."""

import contextlib
import functools
import hashlib
import io
import json
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from helpers import InputError
from helpers.experiment.models import load_weights, pack_weights
from helpers.runs.checkpoint import Checkpoint
from helpers.runs.integrity import DamagedRecord
from helpers.runs.record import read_record, read_records, run_folder, write_record
from survival.faults import Faults

few = settings(max_examples=120, deadline=None, derandomize=True)


def pack(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


ABOUT = {
    "experiment": "pathmnist_basic",
    "seed": 3,
    "parameters": {"epochs": 1, "name": "größer"},
    "recipe_hash": "0123456789ab",
    "data": {"name": "tissue", "official": False},
    "train_seconds": 1.25,
}
CONTENTS = {
    "history.csv": b"epoch,train_loss\n1,0.25\n2,0.125\n",
    "metrics.csv": b"corruption,strength,accuracy\nclean,,0.5\nblur,0.5,0.25\n",
    "predictions.npz": pack(logits=np.eye(3, dtype=np.float16), labels=np.arange(3)),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[int, dict[str, bytes]]:
    """The files of two records by seed: written once, since each is flushed to the disk."""
    root, files = tmp_path_factory.mktemp("written"), {}
    for seed in (3, 4):
        folder = run_folder(root, "pathmnist_basic", seed)
        write_record(folder, ABOUT | {"seed": seed}, CONTENTS)
        files[seed] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files


def lay_out(root, seed: int, files: dict[str, bytes]):
    """Write the files of a record without flushing them; return its folder."""
    folder = run_folder(root, "pathmnist_basic", seed)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path):
    folder = run_folder(tmp_path, "pathmnist_basic", 3)
    write_record(folder, ABOUT, CONTENTS)
    return folder


@st.composite
def changes(draw):
    """A change of bytes: a flipped bit, a cut, a piece put in or taken out, all zero, all other."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "remove", "zero", "other"]))
    place, other = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(max_size=40))

    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return {
            "flip": content[:at] + bytes([content[at] ^ (1 << len(other) % 8)]) + content[at + 1 :],
            "cut": content[:at],
            "insert": content[:at] + (other or b"\0") + content[at:],
            "remove": content[:at] + content[at + 1 + len(other) :],
            "zero": bytes(len(content)),
            "other": other,
        }[kind]

    return change


@few
@given(st.sampled_from([*CONTENTS, "run.json"]), changes())
def test_a_changed_file_is_named_and_the_record_left_out(tmp_path_factory, written, name, change):
    root = tmp_path_factory.mktemp("results")
    before = written[3][name]
    folder = lay_out(root, 3, written[3] | {name: change(before)})
    lay_out(root, 4, written[4])
    damaged = []
    records = read_records(root, damaged=damaged)
    if len(records) == 2:  # nothing that is read is other than what was written
        assert name == "run.json" or (folder / name).read_bytes() == before
        whole = json.loads(written[3]["run.json"])
        assert all(records[0].run[key] == whole[key] for key in whole if key != "checksum")
        assert records[0].history.train_loss.tolist() == [0.25, 0.125]
        return
    assert [record.seed for record in records] == [4]
    assert [error.folder for error in damaged] == [folder]
    assert name in str(damaged[0])
    assert str(damaged[0]).isprintable()
    with pytest.raises(DamagedRecord):
        read_records(root)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@few
@given(st.dictionaries(st.sampled_from([*ABOUT, "files", "checksum"]), JSON))
def test_any_description_is_believed_or_named(tmp_path_factory, written, changed):
    root = tmp_path_factory.mktemp("results")
    before = json.loads(written[3]["run.json"])
    content = json.dumps(before | changed).encode()
    lay_out(root, 3, written[3] | {"run.json": content})
    damaged = []
    records = read_records(root, damaged=damaged)
    assert len(records) + len(damaged) == 1
    if records:  # then what was put in is what was there, but perhaps for the checksum's kind
        assert all(records[0].run[name] == before[name] for name in [*ABOUT, "files"])


@pytest.mark.parametrize("content", [b"[" * 100_000, b"9" * 10_000, b'{"seed": 1e999}', b"nan"])
def test_a_hostile_description_is_named(folder, content):
    (folder / "run.json").write_bytes(content)
    with pytest.raises(DamagedRecord, match="run.json"):
        read_record(folder)


def test_a_folder_in_place_of_a_file_is_named(folder):
    (folder / "metrics.csv").unlink()
    (folder / "metrics.csv").mkdir()
    with pytest.raises(DamagedRecord, match="metrics.csv cannot be read"):
        read_record(folder).check()


class Touch:
    """Touches a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def test_a_pickle_in_predictions_is_not_executed(folder, tmp_path):
    marker = tmp_path / "touched"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("logits.npy", pickle.dumps(Touch(marker)))
    record = write_record(folder, ABOUT, CONTENTS | {"predictions.npz": buffer.getvalue()})
    assert isinstance(record.predictions["logits"], bytes)  # read as they are
    objects = pack(logits=np.array([Touch(marker)], dtype=object))
    record = write_record(folder, ABOUT, CONTENTS | {"predictions.npz": objects})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        _ = record.predictions
    assert not marker.exists()


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "short"])
def test_a_state_that_torch_cannot_write_is_one_line_and_keeps_the_old_one(tmp_path, fault):
    checkpoint = Checkpoint(tmp_path / "seed-0")
    checkpoint.save(lambda file: file.write(b"old"))
    state = {name: torch.ones(99, 99) for name in "ab"}
    with Faults(tmp_path, 0, fault) as counted:
        Checkpoint(tmp_path / "seed-1").save(functools.partial(torch.save, state))
    tried = [n for n, name in enumerate(counted.done, 1) if name.startswith("write")]
    assert len(tried) > 5
    for at in tried:
        # torch itself names what it was at, not what the system said.
        with Faults(tmp_path, at, fault) as met, contextlib.suppress(InputError):
            checkpoint.save(functools.partial(torch.save, state))
        assert bytes(checkpoint.load()) == b"old" or len(met.done) == len(counted.done)
        assert [path.name for path in tmp_path.glob("*.new")] == []
        checkpoint.save(lambda file: file.write(b"old"))


@few
@given(changes())
def test_a_changed_checkpoint_is_not_taken_up(tmp_path_factory, change):
    checkpoint = Checkpoint(tmp_path_factory.mktemp("results") / "seed-0")
    content = bytes(range(256)) * 3
    before = content + hashlib.sha256(content).digest()
    checkpoint.path.write_bytes(change(before))
    if checkpoint.path.read_bytes() == before:
        assert bytes(checkpoint.load()) == content
    else:
        assert checkpoint.load() is None


def saved(state) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


BACKBONE = pack_weights("resnet18", {"conv1.weight": torch.zeros(2, 2)}, [0.5] * 3, [0.2] * 3)


def test_hostile_weights_are_refused_and_not_executed(tmp_path):
    marker, path = tmp_path / "touched", tmp_path / "weights.pt"
    evil = Touch(marker)
    for content in (pickle.dumps(evil), saved(evil), saved({"network": evil})):
        path.write_bytes(content)
        with pytest.raises(InputError):
            load_weights("resnet18", str(path), "data")
        assert not marker.exists()


@few
@given(changes(), st.integers(0, 2**32 - 1))
def test_any_weights_are_read_or_refused_in_one_line(tmp_path_factory, change, seed):
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    content = bytearray(change(BACKBONE))
    generator = random.Random(seed)
    for _ in range(generator.randrange(3)):
        if content:
            content[generator.randrange(len(content))] = generator.randrange(256)
    path.write_bytes(content)
    message = ""
    try:
        weights = load_weights("resnet18", str(path), "data")
    except InputError as error:
        message = str(error)
    if message:
        assert message.isprintable()
        assert str(path) in message
    else:
        assert weights.summary["sha256"] == hashlib.sha256(content).hexdigest()
