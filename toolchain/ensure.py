"""Get a fitting engine, wherever from, and link it into one folder that goes on PATH."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cluster.problems import Problem
from toolchain import build, cache, installer, on_path, pins
from toolchain.engine import Engine
from toolchain.problems import NoEngineError

SWITCH = "CLOUD_ENGINE"
ORIGINS = ("path", "installer", "build")


class EngineMissingError(Exception):
    """No origin has a fitting engine; the message is one line with every reason and the remedy."""


def ensure(links: Path) -> Engine:
    """Find or make a fitting engine and link its files into ``links``.

    Order: PATH, what an earlier run installed or built, the installer, a build. ``CLOUD_ENGINE`` names the only one
    that may be used.
    """
    engine = _obtain(_allowed(), links)
    _link(engine, links)
    return engine


def _allowed() -> tuple[str, ...]:
    asked = os.environ.get(SWITCH, "")
    if asked and asked not in ORIGINS:
        raise EngineMissingError(
            str(
                Problem(
                    SWITCH, asked, "is no origin of an engine", f"say one of {', '.join(ORIGINS)}, or leave it unset"
                )
            )
        )
    return (asked,) if asked else ORIGINS


def _obtain(allowed: tuple[str, ...], links: Path) -> Engine:
    reasons: list[str] = []
    if "path" in allowed:
        try:
            return on_path.find(exclude=links)
        except NoEngineError as reason:
            reasons.append(f"path: {reason}")
    if engine := _kept(allowed):
        return engine
    makers: dict[str, Callable[[], Engine]] = {"installer": installer.install, "build": build.build}
    wanted = [maker for origin, maker in makers.items() if origin in allowed]
    if wanted:
        with cache.lock():
            if engine := _kept(allowed):  # made by whoever held the lock before
                return engine
            for maker in wanted:
                try:
                    return maker()
                except NoEngineError as reason:
                    reasons.append(str(reason))
    raise EngineMissingError(
        str(
            Problem(
                "pulumi",
                pins.engine_version(),
                f"is not to be had: {'; '.join(reasons)}",
                f"install Pulumi {pins.engine_version()} or Go (and reach a Go module proxy), then: make engine",
            )
        )
    )


def _kept(allowed: tuple[str, ...]) -> Engine | None:
    for origin, look in (("installer", installer.kept), ("build", build.kept)):
        if origin in allowed and (engine := look()):
            return engine
    return None


def _link(engine: Engine, links: Path) -> None:
    links.mkdir(parents=True, exist_ok=True)
    for name in pins.PARTS:
        link = links / name
        if name not in engine.parts:
            link.unlink(missing_ok=True)
            continue
        target = engine.parts[name].absolute()
        if link.is_symlink() and link.readlink() == target:
            continue
        fresh = links / f".{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
