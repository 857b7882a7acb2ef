"""Published data sets through their loaders, and what every data set offers."""

import functools
import hashlib
import os
import posixpath
import re
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import medmnist
import numpy as np
import pytest
import torch
from PIL import Image

from helpers import InputError, cli
from helpers.data_files import digest_file
from helpers.experiment import published_data, synthetic
from helpers.experiment.data import Data, Split, load_data
from helpers.experiment.image_cache import cache_images


@pytest.fixture
def pathmnist(tmp_path, monkeypatch):
    """A small file in PathMNIST's layout, published under its own checksum."""
    rng = np.random.default_rng(0)
    arrays, counts = {}, {"train": 30, "val": 12, "test": 15}
    for split, count in counts.items():
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.permutation(np.arange(count) % 9)[:, None].astype(np.uint8)
    path = tmp_path / "data/pathmnist.npz"
    path.parent.mkdir()
    np.savez_compressed(path, **arrays)
    monkeypatch.setitem(medmnist.INFO["pathmnist"], "MD5", digest_file(path, "md5"))
    return path, arrays


def load(folder, name="pathmnist", size=28):
    return load_data(name, "official", str(folder), size)


def test_pathmnist_is_read_as_it_is(pathmnist):
    path, arrays = pathmnist
    data = load(path.parent)
    assert (data.name, data.official, data.files) == ("pathmnist", True, None)
    assert data.classes[0] == "adipose"
    assert len(data.classes) == 9
    digest = hashlib.sha256()
    for split, ours in {"train": data.train, "val": data.validation, "test": data.test}.items():
        expected = arrays[f"{split}_images"].transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(ours.images.numpy(), expected)
        labels = arrays[f"{split}_labels"][:, 0].astype(np.int64)
        np.testing.assert_array_equal(ours.labels.numpy(), labels, strict=True)
        digest.update(expected.tobytes() + labels.tobytes())
    assert data.summary["sha256"] == digest.hexdigest()  # as in older records


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("damage", ["cut", "changed", "other labels"])
def test_a_file_that_is_not_the_published_one_is_refused(pathmnist, damage, cached):
    path, arrays = pathmnist
    if cached:
        load(path.parent)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        name = "train_images" if damage == "changed" else "test_labels"
        np.savez_compressed(path, **arrays | {name: arrays[name] ^ 1})
    with pytest.raises(InputError, match=r"npz is not as published.*; delete it to") as error:
        load(path.parent)
    assert medmnist.INFO["pathmnist"]["url"] in str(error.value)
    assert len(list((path.parent / "cache").glob("*.npy"))) == cached


def test_example_images_need_no_training(pathmnist, tmp_path, monkeypatch, capsys):
    path, arrays = pathmnist
    (tmp_path / "book").mkdir()
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr("helpers.data_files.ROOT", tmp_path)
    target = tmp_path / "results/examples/pathmnist.npz"
    assert cli.call(["examples"]) == 0
    found, missing = capsys.readouterr().out.splitlines()
    assert found == f"pathmnist: example images in {target}"
    assert re.match(r"pets: no example images, as .*images.tar.gz is missing; `python", missing)
    with np.load(target) as kept:
        examples = dict(kept)
    data = load(path.parent)
    assert (examples["sha256"], *examples["classes"]) == (data.sha256, *data.classes)
    assert examples["images"].shape == (9, 4, 3, 28, 28)  # under every condition of the notebook
    assert examples["strength"].tolist()[1:] == [0.8, 0.9, 1.1, 1.2, 0.3, 0.5, 0.7, 0.9]
    assert "mistakes" not in examples
    for label, image in zip(examples["labels"], examples["images"][0], strict=True):
        first = arrays["test_labels"][:, 0].tolist().index(label)
        np.testing.assert_array_equal(image, arrays["test_images"][first].transpose(2, 0, 1))
    before = target.stat()
    cli.call(["examples"])
    assert target.stat() == before  # kept
    target.write_bytes(target.read_bytes()[:-50])
    cli.call(["examples"])
    assert target.stat().st_size == before.st_size  # made again
    path.unlink()
    assert cli.call(["examples"]) == 0
    assert "pathmnist: no example images" in capsys.readouterr().out


@functools.cache
def draw_creatures():
    return synthetic.generate("creatures", 36)["train"]


def draw_pets(folder: Path, each: int = 10) -> Path:
    """Write drawn creatures as JPEGs and annotations in the layout of Oxford-IIIT Pets."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, labels = draw_creatures()
    lists = {"trainval": "", "test": ""}
    for label in range(37):
        for number, index in enumerate(np.flatnonzero(labels == label)[:each]):
            name = f"{'breed' if label >= 12 else 'Breed'}_{label:02d}_{number}"
            picture = Image.fromarray(images[index].transpose(1, 2, 0)[:, 4:])
            picture.save(folder / "images" / f"{name}.jpg")
            lists["trainval" if number < each // 2 else "test"] += f"{name} {label + 1} 1 1\n"
    for split, text in lists.items():
        (folder / "annotations" / f"{split}.txt").write_text(text)
    return folder


def pack_pets(folder: Path, monkeypatch) -> None:
    """Pack the folders into archives, published under their own checksums."""
    archives = {}
    for url in published_data.ARCHIVES:
        name = posixpath.basename(url)
        with tarfile.open(folder / name, "w:gz") as archive:
            archive.add(folder / name.partition(".")[0], f"./{name.partition('.')[0]}")
        archives[url] = digest_file(folder / name, "md5")
    monkeypatch.setattr(published_data, "ARCHIVES", archives)


def test_pets_are_read_split_and_cached(tmp_path, monkeypatch):
    pets = draw_pets(tmp_path / "oxford-iiit-pet")
    pack_pets(pets, monkeypatch)
    data = load(tmp_path, "pets", 32)
    assert (data.name, data.official, len(data.classes)) == ("pets", True, 37)
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".lock", ".npy"]
    lists = [
        [line.split() for line in (pets / f"annotations/{split}.txt").open()]
        for split in ("trainval", "test")
    ]
    assert len(data.train.labels) + len(data.validation.labels) == len(lists[0])
    assert data.test.labels.tolist() == [int(label) - 1 for _, label, *_ in lists[1]]

    # The first test image, by hand: shorter side to 32 px, centre square.
    path = pets / "images" / f"{lists[1][0][0]}.jpg"
    picture = Image.open(path).convert("RGB")
    size = [int(32 * side / min(picture.size)) for side in picture.size]
    left, top = (round((side - 32) / 2) for side in size)
    resized = picture.resize(size, Image.Resampling.BILINEAR)
    expected = np.array(resized.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)
    np.testing.assert_array_equal(data.test.images[0].numpy(), expected)

    # Stratified and disjoint.
    train, validation = (s.labels.bincount(minlength=37) for s in (data.train, data.validation))
    share = validation / (train + validation)
    assert share.mean().item() == pytest.approx(0.2, abs=0.03)
    rows = torch.cat([data.train.images, data.validation.images]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)

    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded again"))
    assert load(tmp_path, "pets", 32).summary == data.summary
    (pets / "annotations.tar.gz").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"annotations.tar.gz is not as published"):
        load(tmp_path, "pets", 32)


def test_pets_that_cannot_be_decoded_are_named_and_decoded_again(tmp_path, monkeypatch):
    pets = draw_pets(tmp_path / "oxford-iiit-pet")
    victim = pets / "images/Breed_03_0.jpg"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:300])
    pack_pets(pets, monkeypatch)
    with pytest.raises(InputError, match=r"1 of 370 .*_0.jpg"):
        load(tmp_path, "pets", 32)
    assert not list(tmp_path.glob("cache/*.npy"))
    victim.write_bytes(whole)
    pack_pets(pets, monkeypatch)
    assert load(tmp_path, "pets", 32).official


def test_unknown_sets_and_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\[28, 64, 128, 224\] pixels, not 32"):
        load(tmp_path, size=32)
    with pytest.raises(InputError, match="'cats'; choose pathmnist"):
        load(tmp_path, "cats")
    with pytest.raises(InputError, match="data_source: .*nothing does not exist; give a .npz"):
        load_data("pets", str(tmp_path / "nothing"), str(tmp_path), 28)


GOOD = Split(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3, -1], "label -1 in the test split is outside the 9"),
        ([3, 9], "label 9 in the test split is outside the 9"),
        ([], "the test split has no image"),
    ],
)
def test_bad_labels_and_empty_splits_are_named(labels, message):
    bad = Split(GOOD.images[: len(labels)], torch.tensor(labels))
    with pytest.raises(InputError, match=message):
        Data("made up", False, tuple("abcdefghi"), GOOD, GOOD, bad)


def test_the_checksum_covers_every_pixel_and_label_and_is_computed_once():
    test = Split(GOOD.images.clone(), GOOD.labels.clone())
    data = Data("made up", False, ("a", "b", "c"), GOOD, GOOD, test)
    found = {data.sha256}
    data.test.images[-1, -1, -1, -1] += 1
    assert data.sha256 in found
    found.add(replace(data).sha256)
    data.test.labels[0] += 1
    assert len(found | {replace(data).sha256}) == 3
    with pytest.raises(InputError, match="channel 0 of all training images is constant"):
        data.mean_and_std()


class Device:
    """A stand-in for a GPU with 200 free bytes, and for tensors that are moved there."""

    type, nbytes, moved = "cuda", 100, 0

    def to(self, device):
        device.moved += 1
        return "moved"


@pytest.mark.parametrize(("free", "resident"), [(200, True), (199, False)])
def test_a_split_is_uploaded_once_and_where_it_fits(monkeypatch, free, resident):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**6))
    gpu, split = Device(), Split(Device(), Device())
    found = split.on(gpu)
    assert found.images == ("moved" if resident else split.images)
    assert found.labels == "moved"
    assert split.on(gpu) is found
    assert gpu.moved == 1 + resident
    assert GOOD.on(torch.device("cpu")).images is GOOD.images


IMAGES = np.arange(3 * 3 * 4 * 4, dtype=np.uint8).reshape(3, 3, 4, 4)
LABELS = [np.array([label]) for label in range(3)]


def refuse():
    pytest.fail("made again")
    yield


def test_a_cache_is_made_once_and_mapped(tmp_path):
    cache = tmp_path / "cache/images.npy"
    cache_images(cache, 4, LABELS, [IMAGES[:1], IMAGES[1:]])
    array, labels = cache_images(cache, 4, LABELS, refuse())["train"]
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, IMAGES[:1])
    np.testing.assert_array_equal(labels, LABELS[0])
    for content in (b"", cache.read_bytes()[:-10], b"\x93NUMPY\x01\x00v\x00'''"):
        cache.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read .*images.npy \(.+\); delete it"):
            cache_images(cache, 4, LABELS, refuse())


def test_a_cache_appears_only_when_it_is_whole_and_on_the_disk(tmp_path, monkeypatch):
    def fail():
        yield IMAGES[:1]
        raise OSError("No space left on device")

    cache, flushed = tmp_path / "images.npy", []
    with pytest.raises(InputError, match=r"images.npy \(No space left on device\); free space in"):
        cache_images(cache, 4, LABELS, fail())
    assert [path.name for path in tmp_path.iterdir()] == [".images.npy.lock"]
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(cache.exists()))
    cache_images(cache, 4, LABELS, [IMAGES])
    assert flushed == [False]


def test_a_cache_that_does_not_fit_beside_the_data_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "data").mkdir()
    full = SimpleNamespace(free=0)
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda p: full if p.name == "data" else usage(p))
    array, _ = cache_images(tmp_path / "data/cache/images.npy", 4, LABELS, [IMAGES])["train"]
    assert array.base.filename == tmp_path / "home/.cache/robustness-report/images.npy"
    assert [*(tmp_path / "data").iterdir()] == []
