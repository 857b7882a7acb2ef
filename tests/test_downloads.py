"""Files of foreign origin: fetched once, verified before use, and refused before they do harm."""

import ast
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from http.client import BadStatusLine, IncompleteRead

import pytest
import torchvision
from PIL import EpsImagePlugin, Image

from conftest import draw_pets
from helpers import ROOT, InputError
from helpers.catalogue import PUBLISHED, Published
from helpers.experiment import downloads, pets, weights
from helpers.experiment.data import load_data
from helpers.experiment.downloads import fetching

#: Gets published weights as a notebook's process does; told the address, its checksum, data_dir.
CHILD = """
import sys
from helpers import catalogue
from helpers.experiment import weights

url, sha256, data_dir = sys.argv[1:]
catalogue.PUBLISHED["imagenet", "resnet18"] = catalogue.Published(url, sha256)
print(weights._get_published("imagenet", "resnet18", data_dir).stat().st_size)
"""


@pytest.fixture
def slow(tmp_path):
    """The address of a server of one file, its SHA-256, and how often it was asked for.

    The second half of the file comes when the last of the three is set.
    """
    content = b"x" * 300_000
    state = threading.Event()
    state.requests = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            state.wait(60)
            self.wfile.write(content[len(content) // 2 :])

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/file.bin"
        yield address, hashlib.sha256(content).hexdigest()[:8], state
        state.set()
        server.shutdown()


def start(address, sha256, data_dir):
    command = [sys.executable, "-c", CHILD, address, sha256, str(data_dir)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def list_downloads(folder):
    return list(folder.glob("weights/.*.download/*"))


def wait_for_download(folder, *children):
    while not list_downloads(folder):
        assert all(child.poll() is None for child in children)
        time.sleep(0.05)


def test_two_processes_that_want_a_file_download_it_once(slow, tmp_path):
    address, sha256, state = slow
    children = [start(address, sha256, tmp_path) for _ in range(2)]
    locks = tmp_path / "weights"
    wait_for_download(tmp_path, *children)
    time.sleep(5)  # the other one has had its chance to ask too
    assert [path.name for path in locks.glob("*.pth")] == []  # half of it is here
    state.set()
    outputs = [child.communicate(timeout=300) for child in children]
    assert [out for out, _ in outputs] == ["300000\n"] * 2, outputs
    assert state.requests == 1
    assert len(list(locks.glob("*.pth"))) == 1
    assert not list_downloads(tmp_path)


def test_what_a_killed_download_leaves_is_removed_by_the_next(slow, tmp_path):
    address, sha256, state = slow
    first = start(address, sha256, tmp_path)
    wait_for_download(tmp_path, first)
    first.kill()
    first.communicate()
    (left,) = list_downloads(tmp_path)
    state.set()
    second = start(address, sha256, tmp_path)
    assert second.communicate(timeout=300)[0] == "300000\n"
    assert not left.parent.exists()
    assert len(list((tmp_path / "weights").glob("*.pth"))) == 1


def test_a_server_that_falls_silent_gives_a_line(slow, tmp_path, monkeypatch):
    address, sha256, _ = slow
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    monkeypatch.setitem(PUBLISHED, ("imagenet", "resnet18"), Published(address, sha256))
    with pytest.raises(InputError, match=r"cannot get .*\.pth \(.*timed out\); "):
        weights._get_published("imagenet", "resnet18", tmp_path)
    assert not list_downloads(tmp_path)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("error", [IncompleteRead(b"half"), BadStatusLine("no HTTP")])
def test_an_answer_that_breaks_off_is_told_with_the_advice(tmp_path, error):
    def break_off():
        with fetching(tmp_path / "file", "put it there"):
            raise error

    with pytest.raises(InputError, match=r"cannot get .*file \(.+\); put it there"):
        break_off()


def test_a_target_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "file"

    def fill_the_disk():
        with fetching(target, "free some") as folder:
            (folder / "file").write_bytes(b"half")
            raise OSError("no space left")

    with pytest.raises(InputError, match=f"cannot get {target} .no space left.; free some"):
        fill_the_disk()
    assert not [path for path in tmp_path.iterdir() if path.name != ".file.lock"]


def pack(folder, members, name="images.tar.gz"):
    """Write an archive of (TarInfo, content) pairs; return its path and MD5."""
    path = folder / name
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path, hashlib.md5(path.read_bytes()).hexdigest()


def member(name, kind=tarfile.REGTYPE, link=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, link, 0o777
    return found


HOSTILE = {
    "above": [(member("../../escaped"), b"!")],
    "link out": [(member("images", tarfile.SYMTYPE, "../../.."), b"")],
    "through a link": [
        (member("a", tarfile.SYMTYPE, "."), b""),
        (member("a/b", tarfile.SYMTYPE, "../.."), b""),
        (member("a/b/escaped"), b"!"),
    ],
    "absolute link": [(member("images", tarfile.SYMTYPE, "/etc"), b"")],
    "hard link out": [(member("images", tarfile.LNKTYPE, "../../../secret"), b"")],
    "device": [(member("null", tarfile.CHRTYPE), b"")],
    "pipe": [(member("pipe", tarfile.FIFOTYPE), b"")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_archive_writes_outside_its_folder(name, served, tmp_path, monkeypatch):
    """Not even one whose checksum is the published one."""
    folder, address = served
    (tmp_path / "secret").write_text("mine")
    _, md5 = pack(folder, HOSTILE[name])
    resources = [(f"{address}/images.tar.gz", md5)]
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"cannot get .*oxford-iiit-pet \(.*; unpack http"):
        load_data("pets", "official", str(tmp_path / "data"), 32)
    assert not (tmp_path / "data" / "oxford-iiit-pet").exists()
    left = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert left <= {"data", ".oxford-iiit-pet.lock"}
    assert (tmp_path / "secret").read_text() == "mine"


def test_an_absolute_path_is_unpacked_below_the_folder(served, tmp_path, monkeypatch):
    folder, address = served
    outside = tmp_path / "outside"
    _, md5 = pack(folder, [(member(str(outside)), b"!")])
    resources = [(f"{address}/images.tar.gz", md5)]
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
    with pytest.raises(InputError, match="oxford-iiit-pet is not whole"):
        load_data("pets", "official", str(tmp_path / "data"), 32)
    assert not outside.exists()
    unpacked = tmp_path / "data" / "oxford-iiit-pet" / outside.relative_to("/")
    assert unpacked.read_bytes() == b"!"
    assert not unpacked.stat().st_mode & 0o022  # nor writable by others, as the archive said


def test_an_archive_is_verified_before_a_byte_is_unpacked(served, tmp_path, monkeypatch):
    """So a bomb or any other foreign archive never comes that far."""
    folder, address = served
    pack(folder, [(member("images/a.jpg"), bytes(10_000_000))])
    resources = [(f"{address}/images.tar.gz", "0" * 32)]
    monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("unpacked before it was verified"))
    with pytest.raises(InputError, match=r"cannot get .*corrupted"):
        load_data("pets", "official", str(tmp_path / "data"), 32)


def write_header(path, width, height):
    """Write a JPEG that says it has this size; it holds the pixels of one of 64 x 64."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "jpeg")
    content = bytearray(buffer.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    path.write_bytes(content)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height"),
    [
        (60_000, 60_000),  # Pillow itself refuses it
        (60_000, 2_000),  # Pillow only warns
        (6_000, 6_000),
        (60_000, 2),  # few pixels, until its shorter side is brought to 224
    ],
)
def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch, width, height):
    draw_pets(tmp_path / "oxford-iiit-pet", each=10)
    victim = sorted((tmp_path / "oxford-iiit-pet/images").glob("*.jpg"))[5]
    write_header(victim, width, height)
    decode = Image.Image.convert

    def convert(image, *arguments):
        assert max(image.size) < 1000, "decoded"
        return decode(image, *arguments)

    monkeypatch.setattr(Image.Image, "convert", convert)
    with pytest.raises(InputError, match=rf"{victim.name} cannot be decoded .*; replace the file"):
        load_data("pets", "official", str(tmp_path), 224)


def test_an_image_of_the_largest_size_is_decoded(tmp_path):
    Image.new("RGB", (2**13, 2**12)).save(tmp_path / "large.jpg")
    assert pets._decode_one(tmp_path / "large.jpg", 16).shape == (1, 3, 16, 16)


def draw(kind):
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(buffer, kind)
    return buffer.getvalue()


def damage_image(name):
    png, tiff = draw("png"), draw("tiff")
    text = b"zTXt" + b"a\x00\x00" + zlib.compress(bytes(2**26))
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return {
        "cut.pgm": draw("ppm")[:5],
        "text.png": png[:33] + chunk + png[33:],
        "header.png": png[:16] + bytes(8) + png[24:],
        "empty.gif": b"",
        "tags.tif": tiff[:10] + b"\xff" * 40 + tiff[50:],
        "cut.tif": tiff[:-500],
        "cut.webp": draw("webp")[:-500],
        "cut.bmp": draw("bmp")[:-500],
    }[name]


IMAGES = ["cut.pgm", "text.png", "header.png", "empty.gif", "tags.tif", "cut.tif", "cut.webp"]


@pytest.mark.parametrize("name", [*IMAGES, "cut.bmp"])
def test_a_damaged_image_is_named_whatever_it_raises(tmp_path, name):
    (tmp_path / name).write_bytes(damage_image(name))
    with pytest.raises(InputError, match=rf"{name} cannot be decoded \(.+\); replace the file"):
        pets._decode_one(tmp_path / name, 16)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "ppm", "tiff", "webp"])
def test_the_content_decides_what_an_image_is(tmp_path, kind):
    """Some JPEGs of Pets are none."""
    (tmp_path / "image.jpg").write_bytes(draw(kind))
    assert pets._decode_one(tmp_path / "image.jpg", 16).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("name", ["image.png", "image.eps"])
def test_no_image_runs_a_program(tmp_path, monkeypatch, name):
    """Pillow hands EPS to Ghostscript, under whatever name it comes."""
    (tmp_path / name).write_bytes(draw("eps"))
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("run"))
    monkeypatch.setattr(EpsImagePlugin, "has_ghostscript", lambda: True)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    with pytest.raises(InputError, match=rf"{name} cannot be decoded .*; replace the file"):
        pets._decode_one(tmp_path / name, 16)


MODULES = {"pickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "os.system", "yaml.load", "torch.hub.load"}

#: What a call must say, where its own default is to trust the file; or, where it is not, may say.
MUST_SAY = {"torch.load": ("weights_only", "True"), "extractall": ("filter", "'data'")}
MAY_SAY = {"allow_pickle": "False", "shell": "False"}


def list_unsafe(source):
    """Yield what of a module would run or unpack what a foreign file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from {getattr(node, "module", ""), *(a.name for a in node.names)} & MODULES
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if ast.unparse(node) == "exec('')":  # runs nothing; why it is there, it says itself
            continue
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in CALLS or any(said.get(name, safe) != safe for name, safe in MAY_SAY.items()):
            yield called
        for name, (keyword, safe) in MUST_SAY.items():
            if (called == name or called.endswith(f".{name}")) and said.get(keyword) != safe:
                yield called


@pytest.mark.parametrize("path", sorted((ROOT / "src").rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_runs_what_a_file_says(path):
    assert list(list_unsafe(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from pickle import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.hub.load('x', 'y')",
        "np.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_search_finds_what_it_looks_for(source):
    assert list(list_unsafe(source))


@pytest.mark.parametrize(
    "source",
    ["model.eval()", "torch.load(p, weights_only=True)", "np.load(path)", "ast.x(y)", "exec('')"],
)
def test_the_search_takes_what_is_safe(source):
    assert not list(list_unsafe(source))
