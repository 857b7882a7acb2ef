"""What several test modules share: small data sets, and real images where they are to be had."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the tests compare bits of the CPU, on every machine

import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.experiment import synthetic
from helpers.experiment.data import Data, Split

torch.set_num_threads(1)  # so that a busy machine does not stretch the tests


@pytest.fixture(scope="session")
def pets_root(tmp_path_factory) -> Path:
    """A ``data_dir`` with Oxford-IIIT Pets in torchvision's layout.

    The images are those that REPORT_TEST_DATA names, if it is set; otherwise drawn ones, ten of
    each class, in the same files. Either way the real loader reads JPEGs.
    """
    root = tmp_path_factory.mktemp("data")
    given = os.environ.get("REPORT_TEST_DATA")
    if given:
        source = Path(given).resolve(strict=True) / "oxford-iiit-pet"
        (root / "oxford-iiit-pet").symlink_to(source, target_is_directory=True)
    else:
        draw_pets(root / "oxford-iiit-pet", each=10)
    return root


def draw_pets(folder: Path, each: int) -> None:
    """Write drawn creatures as JPEGs and annotations in the layout of Oxford-IIIT Pets."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images, labels = synthetic.generate("creatures", 72)["train"]
    lines = []
    for label in range(37):
        for number, index in enumerate(np.flatnonzero(labels == label)[:each]):
            name = f"{'breed' if label >= 12 else 'Breed'}_{label:02d}_{number}"
            picture = Image.fromarray(images[index].transpose(1, 2, 0)[:, 4:68])
            picture.save(folder / "images" / f"{name}.jpg", quality=95)
            lines.append((number, f"{name} {label + 1} 1 1\n"))
    for split, wanted in {"trainval": range(each // 2), "test": range(each // 2, each)}.items():
        text = "".join(line for number, line in lines if number in wanted)
        (folder / "annotations" / f"{split}.txt").write_text(text)


@pytest.fixture
def stripes() -> Data:
    """Three easy classes of 16 px: horizontal stripes, vertical stripes, noise."""
    generator = torch.Generator().manual_seed(7)
    splits = []
    for count in (96, 30, 30):
        labels = torch.arange(count) % 3
        images = torch.randint(0, 60, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
        images[labels == 0, :, ::4] = 220
        images[labels == 1, :, :, ::4] = 220
        splits.append(Split(images, labels))
    return Data("stripes", False, ("horizontal", "vertical", "noise"), *splits)


@pytest.fixture
def served(tmp_path):
    """A folder, and the address on this machine under which its files can be downloaded."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
