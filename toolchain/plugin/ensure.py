"""Get the libvirt plugin, wherever from, and link it where an engine would not find it by itself."""

from __future__ import annotations

from pathlib import Path

from toolchain import pins
from toolchain.obtain import Origin, Sought, link, obtain
from toolchain.plugin import build, official, on_path
from toolchain.tool import Tool, truth

SWITCH = "CLOUD_LIBVIRT_PLUGIN"

INSTALLED_ONLY = "PULUMI_IGNORE_AMBIENT_PLUGINS"
"""Where this is true, engines take no plugin from PATH, so only one that an engine has installed is of use."""


def ensure(links: Path, engine: Path, *stand_ins: Path) -> Tool:
    """Find or make the plugin, and link it into ``links`` if an engine would take another one, or none.

    Order: PATH, what an engine installed, what an earlier run built, Pulumi's own, a build. ``CLOUD_LIBVIRT_PLUGIN``
    names the only one that may be used. ``engine`` is the folder of the engine's links; plugins in the folders of
    ``stand_ins`` are not taken. Raises ToolMissingError.
    """
    version = pins.plugin_version()
    ours = (links, *stand_ins)
    from_path = Origin("path", lambda: on_path.find(*ours))
    from_pulumi = Origin("official", official.installed, lambda: official.install(engine))
    built = Origin("build", build.kept, build.build)
    reach_it = f"reach Pulumi and install it: pulumi plugin install resource libvirt {version}"
    if truth(INSTALLED_ONLY):
        origins: tuple[Origin, ...] = (from_pulumi,)
        remedy = f"{reach_it}; or unset {INSTALLED_ONLY}, then: make plugin"
    else:
        origins = (from_path, from_pulumi, built)
        remedy = f"{reach_it}; or install Go (and reach a Go module proxy), then: make plugin"
    plugin = obtain(Sought(pins.PLUGIN, version, SWITCH, origins, remedy))
    link({} if _taken_anyway(plugin, ours) else plugin.parts, (pins.PLUGIN,), links)
    return plugin


def _taken_anyway(plugin: Tool, ours: tuple[Path, ...]) -> bool:
    # An engine takes the first one on PATH, and only where there is none the one that it has installed.
    first = next(iter(on_path.candidates(*ours)), None)
    return first == plugin.parts[pins.PLUGIN] or (first is None and plugin.origin == "official")
