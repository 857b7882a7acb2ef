"""Faults of the file system: the n-th operation below a folder fails, or the process dies there.

An operation is what Python asks of the system: to open, write, flush (fsync), rename, link, make
or remove. They are numbered as they come, so that a sequence can be broken at every place in turn.
"""

# pathlib would call the functions of os that are replaced here
# ruff: noqa: PTH109, PTH113, PTH116, PTH118, PTH120

import builtins
import errno
import io
import os
import shutil
import signal
import uuid
from pathlib import Path

#: What happens at the chosen operation, and how the table calls it.
FAULTS = {
    "kill": "process killed between two file operations",
    "power": "power cut: what was not flushed is lost",
    "names": "power cut: names not flushed are undone too",
    "short": "disk full in the middle of a write",
    "ENOSPC": "disk full (ENOSPC)",
    "EIO": "input/output error (EIO)",
    "EACCES": "no permission (EACCES)",
}

#: Functions of ``os`` whose first argument is a path; the file objects' writes come on top.
BY_PATH = ("mkdir", "rmdir", "unlink", "remove", "rename", "replace", "link", "truncate")
BY_DESCRIPTOR = ("write", "fsync", "fdatasync", "ftruncate")


class File(io.FileIO):
    """A file whose writes are operations."""

    def __init__(self, faults: "Faults", path, mode: str, opener=None):
        super().__init__(path, mode, opener=opener)
        self.faults, self.path = faults, faults.absolute(path)
        faults.descriptors[self.fileno()] = self.path

    def write(self, content) -> int:
        allowed = self.faults.count("write", self.path, len(content))
        self.faults.unflushed.add(self.path)
        return super().write(memoryview(content).cast("B")[:allowed])


class Faults:
    """While in force, the operation number `at` below a folder meets a fault.

    Parameters
    ----------
    root : operations elsewhere are not counted
    at : 1 is the first operation; 0 lets all pass, and only counts them
    fault : a name of `FAULTS`; the errors come at every later write too, as on a full disk, until
        an operation that frees space has passed; at other operations they come once
    """

    def __init__(self, root: Path, at: int, fault: str):
        self.root, self.at, self.fault = str(Path(root).resolve()), at, fault
        self.done: list[str] = []
        self.descriptors: dict[int, str] = {}
        self.unflushed: set[str] = set()
        self.renamed: list[tuple[str, str, str | None]] = []
        self.made: list[str] = []
        self.full = False

    def __enter__(self) -> "Faults":
        self.real = {name: getattr(os, name) for name in (*BY_PATH, *BY_DESCRIPTOR, "open")}
        self.real_open = io.open
        for name in BY_PATH:
            setattr(os, name, self._by_path(name))
        for name in BY_DESCRIPTOR:
            setattr(os, name, self._by_descriptor(name))
        os.open = self._os_open
        io.open = builtins.open = self._open
        return self

    def __exit__(self, *_) -> None:
        for name, function in self.real.items():
            setattr(os, name, function)
        io.open = builtins.open = self.real_open

    def absolute(self, path, dir_fd: int | None = None) -> str:
        """The path without links; one that is given relative to an open folder is found there."""
        if isinstance(path, int):
            return self.descriptors.get(path, "")
        base = self.descriptors.get(dir_fd, "") if dir_fd is not None else os.getcwd()
        folder, name = os.path.split(os.path.join(base, os.fsdecode(path)))
        return os.path.join(os.path.realpath(folder), name)

    def count(self, name: str, path: str, size: int = 0) -> int:
        """Count an operation and meet the fault if it is its turn; return the bytes to write."""
        if not path.startswith(self.root):
            return size
        if self.fault != "short" or name == "write":
            self.done.append(f"{name} {path.removeprefix(self.root)}")
        if len(self.done) != self.at or (self.fault == "short" and name != "write"):
            if self.full and name in ("write", "mkdir", "fsync"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            self.full = self.full and name not in ("unlink", "remove", "rmdir")
            return size
        if self.fault in ("kill", "power", "names"):
            self.die()
        if self.fault == "short":  # the next write fails
            self.full = True
            return size // 2
        self.full = self.fault == "ENOSPC"
        code = getattr(errno, self.fault)
        raise OSError(code, os.strerror(code), path)

    def die(self) -> None:
        """End the process as a kill does; after a power cut the disk has what was flushed."""
        if self.fault == "names":
            for old, new, replaced in reversed(self.renamed):
                self.real["rename"](new, old)
                self.unflushed = {p.replace(new, old, 1) for p in self.unflushed}
                self.made = [p.replace(new, old, 1) for p in self.made]
                if replaced:
                    self.real["rename"](replaced, new)
            for path in filter(os.path.isdir, self.made):
                shutil.rmtree(path)
        if self.fault in ("power", "names"):
            for path in filter(os.path.isfile, self.unflushed):
                self.real["truncate"](path, os.stat(path).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    def _by_path(self, name: str):
        def call(path, *arguments, **options):
            folder = options.get("dir_fd", options.get("src_dir_fd"))
            where = self.absolute(path, folder)
            self.count(name, where)
            if name in ("rename", "replace") and where.startswith(self.root):
                return self._rename(name, path, where, *arguments, **options)
            done = self.real[name](path, *arguments, **options)
            self.made += [where] * (name == "mkdir" and where.startswith(self.root))
            return done

        return call

    def _rename(self, name: str, path, where: str, target, **options) -> None:
        new, replaced = self.absolute(target, options.get("dst_dir_fd")), None
        if os.path.isfile(new):
            replaced = f"{self.root}.replaced-{uuid.uuid4().hex}"
            self.real["link"](new, replaced)
        self.real[name](path, target, **options)
        self.renamed.append((where, new, replaced))
        self.unflushed = {p.replace(where, new, 1) for p in self.unflushed}
        self.made = [p.replace(where, new, 1) for p in self.made]

    def _by_descriptor(self, name: str):
        def call(descriptor, *arguments):
            path = self.absolute(descriptor)
            size = len(arguments[0]) if name == "write" else 0
            allowed = self.count(name, path, size) if path else size
            if name == "write":
                self.unflushed |= {path} if path else set()
                return self.real[name](descriptor, arguments[0][:allowed])
            if name in ("fsync", "fdatasync"):
                self.unflushed.discard(path)
                # A folder that is flushed keeps the names that were changed in it.
                self.renamed = [r for r in self.renamed if os.path.dirname(r[1]) != path]
                self.made = [p for p in self.made if os.path.dirname(p) != path]
                if path.startswith(self.root):
                    return None  # the disk is a pretended one
            return self.real[name](descriptor, *arguments)

        return call

    def _os_open(self, path, flags, *arguments, **options) -> int:
        where = self.absolute(path, options.get("dir_fd"))
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.count("open", where)
        descriptor = self.real["open"](path, flags, *arguments, **options)
        self.descriptors[descriptor] = where
        return descriptor

    def _open(self, path, mode="r", buffering=-1, *arguments, **options):
        if isinstance(path, int) or not self.absolute(path).startswith(self.root):
            return self.real_open(path, mode, buffering, *arguments, **options)
        self.count("open" if set(mode) & set("wax+") else "read", self.absolute(path))
        if not set(mode) & set("wax+"):
            return self.real_open(path, mode, buffering, *arguments, **options)
        raw = File(self, path, mode.replace("b", "").replace("t", ""), options.get("opener"))
        file = raw if buffering == 0 else io.BufferedWriter(raw)
        if "+" in mode:
            file = io.BufferedRandom(raw)
        return file if "b" in mode else io.TextIOWrapper(file, options.get("encoding"))
