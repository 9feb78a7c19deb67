"""The init container of a model's pod: our two programs in a process of their own, and stand-ins for what they call.

Stand-ins, each with the laws of what it stands for:

- KServe's downloader (kserve v0.20.0, kserve_storage.py, ``_download_s3``): takes every object whose name begins with
  the URI's path, of a neighbour ``1`` and ``10`` alike, and leaves out objects without a byte; it fails where it finds
  nothing. ``hf://`` brings a whole repository.
- MLflow's client (3.15, ``S3ArtifactRepository``): takes what lies below the path, empty files too; where there is
  nothing it says nothing and ends well. It finds versions by their number, alias, or source.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from cluster.render import storage_containers
from cluster.serving import fetch

_KSERVE = """\
import sys
from pathlib import Path
uri, target = sys.argv[1], Path(sys.argv[2])
with open("fetched", "a") as log:
    log.write(uri + "\\n")
scheme, _, wanted = uri.partition("://")
store = Path("store")
taken = 0
for file in sorted(each for each in store.rglob("*") if each.is_file()):
    key = file.relative_to(store).as_posix()
    below = key.startswith(wanted) and file.stat().st_size > 0 if scheme == "s3" else key.startswith(wanted + "/")
    if below:
        place = target / (key.removeprefix(wanted).lstrip("/") or file.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())
        place.chmod(file.stat().st_mode)
        taken += 1
if not taken:
    sys.exit(f"RuntimeError: Failed to fetch model. No model found in {wanted}.")
"""

_CLIENT = """\
import json
from pathlib import Path
from types import SimpleNamespace
class MlflowClient:
    def __init__(self):
        if Path("mlflow-is-down").exists():
            raise ConnectionError("no answer from http://mlflow")
        self._all = json.loads(Path("registry.json").read_text()) if Path("registry.json").exists() else []
    def _one(self, **wanted):
        found = [each for each in self._all if all(each.get(key) == value for key, value in wanted.items())]
        if not found:
            raise KeyError(f"RESOURCE_DOES_NOT_EXIST: {wanted}")
        return SimpleNamespace(**found[0])
    def get_model_version(self, name, number):
        return self._one(name=name, version=number)
    def get_model_version_by_alias(self, name, alias):
        return self._one(name=name, alias=alias)
    def get_model_version_download_uri(self, name, number):
        return self._one(name=name, version=number).source
    def search_model_versions(self, wanted):
        key, _, value = wanted.partition(" = ")
        assert key == "source_path", wanted
        return [SimpleNamespace(**each) for each in self._all if each["source"] == value.strip("'")]
"""

_REPOSITORY = """\
import shutil
from pathlib import Path
from types import SimpleNamespace
def get_artifact_repository(uri):
    def download_artifacts(path, target):
        with open("fetched", "a") as log:
            log.write(uri + "\\n")
        source = Path("store") / uri.partition("://")[2]
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
    return SimpleNamespace(download_artifacts=download_artifacts)
"""


class Pod:
    """``store`` is the object store's content, a folder for each bucket, and what hf:// names."""

    def __init__(self, root: Path) -> None:
        self.root, self.code, self.cache, self.store = root, root / "code", root / "cache", root / "store"
        package = self.code / "mlflow/store/artifact"
        for folder in (package, self.cache, self.store):
            folder.mkdir(parents=True)
        for name, text in storage_containers.scripts().items():
            (self.code / name).write_text(text)
        (root / "kserve.py").write_text(_KSERVE)
        (self.code / "mlflow/__init__.py").write_text(_CLIENT)
        (package / "artifact_repository_registry.py").write_text(_REPOSITORY)
        # the downloader of KServe's image, and the mount point of the cache
        text = (self.code / "fetch.py").read_text()
        text = text.replace(repr(fetch.KSERVE).replace("'", '"'), repr((sys.executable, str(root / "kserve.py"))))
        text = text.replace('Path("/cache")', f'Path("{self.cache}")').replace("/dev/termination-log", f"{root}/told")
        (self.code / "fetch.py").write_text(text)
        (root / "told").touch()  # the kubelet makes it

    def register(self, name: str, version: str, source: str, digest: str | None, alias: str = "") -> None:
        """Put a version into the registry; without a digest it has no tag."""
        file = self.root / "registry.json"
        known: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        tags = {"manifest_sha256": digest} if digest else {}
        known.append({"name": name, "version": version, "source": source, "tags": tags, "alias": alias})
        file.write_text(json.dumps(known))

    def run(self, uri: str, digest: str, *, cache: bool = False, name: str = "m") -> tuple[int, str, Path]:
        """Return exit status, log, and the folder that the model server would read."""
        target = self.root / "mnt"
        shutil.rmtree(target, ignore_errors=True)
        environment = {"MODEL_DIGEST": digest, "MODEL_CACHE": str(cache).lower(), "MODEL_NAME": name}
        done = subprocess.run(
            [sys.executable, "-I", str(self.code / "fetch.py"), uri, str(target)],
            cwd=self.root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr, target

    @property
    def told(self) -> str:
        """What Kubernetes keeps as the container's last words."""
        return (self.root / "told").read_text()

    @property
    def downloads(self) -> int:
        log = self.root / "fetched"
        return len(log.read_text().splitlines()) if log.is_file() else 0
