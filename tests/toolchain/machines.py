"""Stand-ins for pulumi and go: small scripts on a PATH of the test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain import pins
from toolchain.plugin import ensure, official
from toolchain.plugin.client import CHANGES

PLUGIN_SWITCHES = (ensure.SWITCH, ensure.INSTALLED_ONLY, official.MIRRORED, official.NO_FETCHING)


def script(folder: Path, name: str, body: str) -> Path:
    """Write an executable shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


def release(folder: Path, version: str, without: tuple[str, ...] = ()) -> Path:
    """Lay out a folder like that of a Pulumi release."""
    script(folder, "pulumi", f"echo {version}")
    for name in pins.PARTS[1:]:
        if name not in without:
            script(folder, name, "true")
    return folder


# What `go` does here: build writes a program that knows its version, list names a folder. Each call leaves a line.
# A program that was built writes a schema when it is asked to, as the generator of the plugin does.
GO = """
echo "$@" >> "$GO_CALLS"
case "$*" in list*go-libvirt) echo "$GO_CLIENT"; exit 0 ;; list*) echo "$GO_SDK"; exit 0 ;; esac
out=; version=
for word in "$@"; do
  [ "$last" = -o ] && out=$word
  case $word in
    *.Version=*) version=${word##*.Version=} ;;
    -modfile=*) while read -r told; do echo "modfile $told" >> "$GO_CALLS"; done < "${word#-modfile=}" ;;
    -overlay=*) read -r overlay < "${word#-overlay=}"; echo "overlay $overlay" >> "$GO_CALLS" ;;
  esac
  last=$word
done
[ -d "${out%/*}" ] || mkdir "${out%/*}"
printf '#!/bin/bash\\nif [ "$1" = schema ]; then echo {} > "$3/schema.json"; else echo %s; fi\\n' "$version" > "$out"
chmod +x "$out"
"""


def plugin(folder: Path, version: str) -> Path:
    """Write a plugin that knows its version; return it."""
    return script(folder, pins.PLUGIN, f'[ "$1" = -version ] && echo {version}')


def tools(folder: Path, *names: str) -> Path:
    """Lay out a folder with links to programs of the system; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (folder / name).exists():
            (folder / name).symlink_to(str(shutil.which(name, path="/usr/bin:/bin")))
    return folder


class Machine:
    """A machine with an empty home, no network, and on PATH only what the test puts there."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.patch = patch
        self.links = root / "links"
        self.cache = root / "cache" / "inference-cloud" / "toolchain"
        self.calls = root / "go-calls"
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("GO_CALLS", str(self.calls))
        patch.setenv("GO_SDK", str(root / "sdk"))
        patch.setenv("GO_CLIENT", str(root / "client"))
        patch.setenv("PULUMI_HOME", str(root / "pulumi-home"))
        for name in ("CLOUD_ENGINE", *PLUGIN_SWITCHES):
            patch.delenv(name, raising=False)
        # Nothing listens on that port, so the installer's script is out of reach at once.
        patch.setattr("toolchain.reach.PULUMI", "http://127.0.0.1:9/install.sh")
        patch.setattr("toolchain.plugin.official.GITHUB", "http://127.0.0.1:9/")
        self.path()

    def path(self, *folders: Path) -> None:
        """Set PATH to these folders and what the scripts need of the system: its own Go or Pulumi must not be seen."""
        self.patch.setenv(
            "PATH", ":".join(map(str, [*folders, tools(self.root / "tools", "chmod", "sleep", "mv", "mkdir")]))
        )

    def go(self, body: str = GO) -> Path:
        """Install a stand-in for Go and its module cache; return its folder."""
        (self.root / "client").mkdir(exist_ok=True)
        (self.root / "client" / "rpc.go").write_text("".join(before for before, _ in CHANGES))
        for place in pins.SCRIPTS.values():
            script((self.root / "sdk" / place).parent, Path(place).name, "true")
        return script(self.root / "go", "go", body).parent

    def builds(self) -> int:
        """How many compilations the stand-in was asked for."""
        calls = self.calls.read_text().splitlines() if self.calls.exists() else []
        return sum(call.startswith("build ") for call in calls)
