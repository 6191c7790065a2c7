# SPDX-License-Identifier: MIT
"""Debian packages of any architecture and suite, without touching the host's dpkg.

Each (suite, architecture) has its own apt state folder below ~/.cache/tunlite/apt, so the host's
list of architectures and its package lists stay as they are. Mirrors and keyrings are those of the
host's own apt configuration, read at run time; apt verifies every file by the archive's signatures.
What was fetched once is found again without network through a small manifest.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("TUNLITE_CACHE", Path.home() / ".cache" / "tunlite"))
HOST_APT = Path("/etc/apt")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class DebsError(Exception):
    """A package could not be had; the message says which and what to do."""


@dataclass(frozen=True)
class Mirror:
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def _deb822_stanzas(text: str) -> Iterator[dict[str, str]]:
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _mirrors_of_sources_file(text: str) -> Iterator[Mirror]:
    for fields in _deb822_stanzas(text):
        types = fields.get("types", "").split()
        if "deb" not in types or fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            yield Mirror(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def _mirrors_of_list_file(text: str) -> Iterator[Mirror]:
    line_form = re.compile(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)")
    for line in text.splitlines():
        found = line_form.match(line.split("#", 1)[0].strip())
        if found:
            options = dict(o.split("=", 1) for o in (found[1] or "").split() if "=" in o)
            signed_by = options.get("signed-by", "")
            yield Mirror(found[2], (found[3],), tuple(found[4].split()), signed_by)


def host_mirrors(apt: Path = HOST_APT) -> list[Mirror]:
    """The Debian mirrors that the host's own apt configuration names."""
    found: list[Mirror] = []
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found += _mirrors_of_sources_file(path.read_text())
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            found += _mirrors_of_list_file(path.read_text())
    return found


def _base_mirror(mirrors: list[Mirror]) -> Mirror:
    """The mirror of the main archive: it also has the other suites (trixie, sid)."""
    names = {"stable", "oldstable", "testing", "sid", "bookworm", "trixie", "forky"}
    for mirror in mirrors:
        if names & set(mirror.suites) and "main" in mirror.components:
            return mirror
    raise DebsError(
        f"no Debian archive in {HOST_APT}: add one to {HOST_APT}/sources.list.d to fetch packages"
    )


def sources_list(suite: str, arch: str, updates: bool = True, apt: Path = HOST_APT) -> str:
    """One-line-format sources for `suite`, packages of `arch` and source packages.

    With `updates`, a suite that the host itself follows brings its updates and security suites
    along: they are the host's mirrors whose suite names begin with this one's.
    """
    mirrors = host_mirrors(apt)
    base = _base_mirror(mirrors)
    wanted = [(base, suite)]
    for mirror in mirrors if updates else []:
        wanted += [(mirror, s) for s in mirror.suites if s.startswith(f"{suite}-")]
    lines = []
    for mirror, name in wanted:
        signed_by = mirror.signed_by or KEYRING
        where = f"[signed-by={signed_by}{{}}] {mirror.uri} {name} main"
        lines.append("deb " + where.format(f" arch={arch}"))
        lines.append("deb-src " + where.format(""))
    return "".join(line + "\n" for line in lines)


class Apt:
    """apt with a state of its own for one suite and one architecture."""

    def __init__(self, suite: str, arch: str, cache: Path = CACHE) -> None:
        self.suite = suite
        self.arch = arch
        self.folder = cache / "apt" / f"{suite}-{arch}"
        self.archives = self.folder / "archives"

    def fetch(self, packages: Iterable[str], closure: bool = False) -> list[Path]:
        """The .deb files of `packages`, and with `closure` of all that they depend on."""
        names = sorted(packages)
        return self._cached("closure" if closure else "debs", names, self._download)

    def fetch_source(self, package: str) -> list[Path]:
        """The files of a source package, the .dsc first."""
        files = self._cached("source", [package], self._download)
        return sorted(files, key=lambda path: path.suffix != ".dsc")

    def concrete(self, meta: str) -> str:
        """The versioned package that a meta package such as `linux-image-amd64` stands for."""

        def ask(kind: str, names: list[str], folder: Path) -> list[Path]:
            self._update_once()
            out = self._run(["apt-cache", "depends", "--no-recommends", names[0]])
            stem = names[0].split("-")[0:2]
            found = re.findall(r"^\s+Depends: (\S+)$", out, re.MULTILINE)
            images = [name for name in found if name.split("-")[0:2] == stem]
            if not images:
                raise DebsError(f"{self.suite}/{self.arch}: {meta} names no versioned package")
            return [Path(images[0])]

        return self._cached("concrete", [meta], ask)[0].name

    def _cached(self, kind, names: list[str], produce) -> list[Path]:
        key = hashlib.sha256(json.dumps([kind, names]).encode()).hexdigest()[:16]
        manifest = self.folder / "manifests" / f"{key}.json"
        with self._locked():
            if manifest.is_file():
                names_there = json.loads(manifest.read_text())["files"]
                paths = [self.folder / name for name in names_there]  # wherever it was copied to
                if kind == "concrete" or all(path.is_file() for path in paths):
                    return paths
            paths = produce(kind, names, self.archives / key)
            manifest.parent.mkdir(parents=True, exist_ok=True)
            files = [str(p.relative_to(self.folder) if p.is_absolute() else p) for p in paths]
            record = {"kind": kind, "names": names, "files": files}
            manifest.write_text(json.dumps(record, indent=1) + "\n")
            return paths

    def _download(self, kind: str, names: list[str], folder: Path) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        fetched = {
            "debs": ["apt-get", "download", *names],
            "closure": [
                *("apt-get", "install", "--yes", "--download-only", "--no-install-recommends"),
                *("-o", f"Dir::Cache::Archives={folder}/", *names),
            ],
            "source": ["apt-get", "source", "--download-only", *names],
        }
        fresh = self._update_once()
        try:
            self._run(fetched[kind], cwd=folder)
        except DebsError:
            if fresh:
                raise
            # The mirror may have moved on since the lists were fetched.
            self._update()
            self._run(fetched[kind], cwd=folder)
        found = sorted(p for p in folder.iterdir() if p.is_file() and p.name != "lock")
        if not found:
            raise DebsError(f"{self.suite}/{self.arch}: nothing fetched for {' '.join(names)}")
        return found

    def _update_once(self) -> bool:
        """Fetch the package lists when there are none yet; True when they were fetched now."""
        if any((self.folder / "lists").glob("*Packages*")):
            return False
        self._update()
        return True

    def _update(self) -> None:
        for part in ("lists/partial", "archives/partial", "cache"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")
        sources = self.folder / "sources.list"
        sources.write_text(sources_list(self.suite, self.arch))
        try:
            self._run(["apt-get", "update"])
        except DebsError as e:
            # A mirror in the middle of a sync: what was released with the suite is enough here.
            sources.write_text(sources_list(self.suite, self.arch, updates=False))
            self._run(["apt-get", "update"])
            print(f"went on without updates to {self.suite}: {e.args[0]}", file=sys.stderr)

    def _options(self) -> list[str]:
        settings = {
            "Dir::State": self.folder,
            "Dir::State::Lists": self.folder / "lists",
            "Dir::State::Status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Cache::Archives": f"{self.archives}/",
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Architecture": self.arch,
            "APT::Architectures::": self.arch,
            "APT::Sandbox::User": "root",
            "APT::Get::List-Cleanup": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Debug::NoLocking": "true",
        }
        options = []
        for name, value in settings.items():
            options += ["-o", f"{name}={value}"]
        return options

    def _run(self, command: list[str], cwd: Path | None = None) -> str:
        argv = [command[0], *self._options(), *command[1:]]
        done = subprocess.run(
            argv, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        if done.returncode == 0 and not re.search(r"^W: Failed to fetch", done.stderr, re.M):
            return done.stdout
        what = " ".join(command)
        raise DebsError(
            f"`{what}` failed for Debian {self.suite}, {self.arch}:\n{done.stderr.strip()}\n"
            f"With no network, run the same task once on a machine that has one and copy\n"
            f"{self.folder} from there (the packages it holds are found without network)."
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "tunlite.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def unpacked(debs: Iterable[Path], folder: Path) -> Path:
    """`folder`, made of .deb files, later ones over earlier ones, unless it is there: either whole
    or not at all."""
    if folder.is_dir():
        return folder
    half = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(half, ignore_errors=True)  # a killed process's
    half.mkdir(parents=True)
    try:
        for deb in debs:
            subprocess.run(["dpkg-deb", "--extract", str(deb), str(half)], check=True)
        half.rename(folder)
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(half)
        if not folder.is_dir():  # else another process was first
            raise
    return folder


def unpack_source(files: list[Path], into: Path) -> Path:
    """Unpack a source package (as `fetch_source` gives it) to the new folder `into`."""
    into.parent.mkdir(parents=True, exist_ok=True)
    argv = ["dpkg-source", "--no-check", "--extract", str(files[0]), str(into)]
    subprocess.run(argv, check=True, capture_output=True)
    return into
