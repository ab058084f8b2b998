"""A disk that loses power, fails and lies, under the real binary: the shim (shim.c) and the model of what a power cut leaves.

What is promised by a disk is little: bytes of a file are there once `fsync` or `fdatasync` of the file has returned, a name is
there once `fsync` of its directory has. Anything else may be there, or not, or in part: whole sectors in any order.
"""

import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
SECTOR = 512
KILL_BEFORE, KILL_AFTER = -1, -2
_HEADER = struct.Struct("<cIQQQ")
_built = []


def shim():
    """The built shim; once per process."""
    if not _built:
        room = tempfile.TemporaryDirectory(prefix="jumelle-shim-")
        library = pathlib.Path(room.name) / "shim.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(HERE / "shim.c"), "-ldl"], check=True)
        _built.extend([library, room])
    return _built[0]


class Disk:
    """The disk below one directory (which must exist before the server starts)."""

    def __init__(self, directory, keeps_log=True):
        self.directory = pathlib.Path(directory).resolve()
        self.room = tempfile.TemporaryDirectory(prefix="jumelle-disk-")
        self.log = pathlib.Path(self.room.name) / "log"
        self.rules = pathlib.Path(self.room.name) / "faults"
        self.keeps_log = keeps_log

    def environment(self):
        """For the server's process."""
        variables = {"LD_PRELOAD": str(shim()), "JUMELLE_DISK_DIR": str(self.directory), "JUMELLE_DISK_FAULTS": str(self.rules)}
        if self.keeps_log:
            variables["JUMELLE_DISK_LOG"] = str(self.log)
        return variables

    def fail(self, *rules):
        """From now on: (call, errno or KILL_…, how many to let pass, part of the path) each."""
        text = "".join("{} {} {} {}\n".format(*rule) for rule in rules)
        fresh = self.rules.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.rules)

    def heal(self):
        self.rules.unlink(missing_ok=True)

    def close(self):
        self.room.cleanup()


class File:
    """A file or directory as the disk has it (durable), and what it may have beside that (pending, in order)."""

    def __init__(self, is_directory=False):
        self.is_directory = is_directory
        self.sectors, self.size, self.pending = {}, 0, []
        # Directories: name to File; pending holds lists of (name, File or None) that happen together.
        self.names = {}

    def write(self, offset, data):
        for sector, at, piece in split(offset, data):
            old = self.sectors.get(sector, bytes(SECTOR))
            self.sectors[sector] = old[:at] + piece + old[at + len(piece):]
        self.size = max(self.size, offset + len(data))

    def resize(self, size):
        if size < self.size:
            for sector in [sector for sector in self.sectors if sector * SECTOR >= size]:
                del self.sectors[sector]
            if size % SECTOR and size // SECTOR in self.sectors:
                self.sectors[size // SECTOR] = self.sectors[size // SECTOR][: size % SECTOR].ljust(SECTOR, b"\0")
        self.size = size

    def sync(self):
        for change in self.pending:
            self.apply(change)
        self.pending = []

    def apply(self, change):
        if self.is_directory:
            for name, file in change:
                if file is None:
                    self.names.pop(name, None)
                else:
                    self.names[name] = file
        elif isinstance(change, int):
            self.resize(change)
        else:
            self.write(*change)

    def lose_power(self, chance):
        """What had not been synced: nothing of it, all, the first of it, or any sectors of it."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        if self.is_directory:
            # Changes of one directory reach the disk in order.
            for change in pending[: chance.randrange(len(pending) + 1)]:
                self.apply(change)
            return
        fate = chance.choice(["nothing", "all", "first", "any", "any"])
        if fate == "nothing":
            return
        first = chance.randrange(len(pending) + 1)
        for n, change in enumerate(pending):
            if isinstance(change, int):
                if fate == "all" or chance.random() < 0.5:
                    self.apply(change)
                continue
            if fate == "all" or (fate == "first" and n < first):
                self.apply(change)
            elif fate == "any" or (fate == "first" and n == first):
                offset, data = change
                for sector, at, piece in split(offset, data):
                    if chance.random() < 0.5:
                        self.write(sector * SECTOR + at, piece)
                    elif fate == "first":
                        break


def split(offset, data):
    """(sector, offset within it, bytes) of a write."""
    at = 0
    while at < len(data):
        sector, within = divmod(offset + at, SECTOR)
        piece = data[at : at + SECTOR - within]
        yield sector, within, piece
        at += len(piece)


class Model:
    """What a disk holds below a directory, and may hold."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.inodes = {}
        self.live = {}  # path -> inode number, as the running process sees it
        self.top = self.load(self.root)

    def load(self, path):
        """What is there before the first recorded change is durable."""
        status = path.stat()
        file = File(path.is_dir())
        self.inodes[status.st_ino] = file
        self.live[str(path)] = file
        if file.is_directory:
            for child in path.iterdir():
                file.names[child.name] = self.load(child)
        else:
            with path.open("rb") as stored:
                for start, data in extents(stored, status.st_size):
                    file.write(start, data)
            file.size = status.st_size
        return file

    def parent(self, path):
        return self.live.get(os.path.dirname(path))

    def entries(self, *changes):
        """Names of one directory that change together."""
        parent = self.parent(changes[0][0])
        parent.pending.append([(os.path.basename(path), file) for path, file in changes])
        for path, file in changes:
            if file is None:
                self.live.pop(path, None)
            else:
                self.live[path] = file

    def replay(self, log):
        """The changes that the shim recorded, in order."""
        data, at = log.read_bytes(), 0
        while at + _HEADER.size <= len(data):
            op, path_len, inode, number, data_len = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            if at + path_len + data_len > len(data):
                break
            path = data[at : at + path_len].decode()
            content = data[at + path_len : at + path_len + data_len]
            at += path_len + data_len
            self.change(op, path, inode, number, content)

    def change(self, op, path, inode, number, content):
        if op == b"C":
            self.inodes[inode] = File()
            self.entries((path, self.inodes[inode]))
        elif op == b"M":
            self.entries((path, File(is_directory=True)))
        elif op == b"O":
            if number:
                self.inodes[inode] = self.live[path]
            elif inode in self.inodes and self.live.get(path) is not self.inodes[inode]:
                # Renamed by a system call that does not pass through the C library (rustix, in tempfile).
                file = self.inodes[inode]
                old = next(old for old, other in self.live.items() if other is file)
                self.entries((old, None), (path, file))
        elif op == b"W":
            self.inodes[inode].pending.append((number, content))
        elif op == b"T":
            self.inodes[inode].pending.append(number)
        elif op == b"S":
            if inode in self.inodes:
                self.inodes[inode].sync()
        elif op == b"R":
            file, target = self.live[path], content.decode()
            for old in [old for old in self.live if old.startswith(path + "/")]:
                self.live[target + old[len(path):]] = self.live.pop(old)
            self.entries((path, None), (target, file))
        elif op == b"U":
            self.entries((path, None))

    def lose_power(self, seed):
        chance = random.Random(seed)
        for file in dict.fromkeys([*self.inodes.values(), *self.live.values()]):
            file.lose_power(chance)

    def store(self):
        """Makes the directory as the disk now has it."""
        shutil.rmtree(self.root)
        self.write_out(self.top, self.root)

    def write_out(self, file, path):
        if file.is_directory:
            path.mkdir()
            for name, child in file.names.items():
                self.write_out(child, path / name)
            return
        with path.open("wb") as stored:
            for sector, data in sorted(file.sectors.items()):
                stored.seek(sector * SECTOR)
                stored.write(data)
            stored.truncate(file.size)


def extents(stored, size):
    """The parts of a file that are not holes, at sector borders."""
    at = 0
    while at < size:
        try:
            start = os.lseek(stored.fileno(), at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(stored.fileno(), start, os.SEEK_HOLE)
        stored.seek(start)
        yield start, stored.read(end - start)
        at = end


def cut(disk, base, seed):
    """Puts in place of the disk's directory what a power cut leaves of it. `base`: its model before the process started."""
    if disk.log.exists():
        base.replay(disk.log)
        disk.log.unlink()
    base.lose_power(seed)
    base.store()
