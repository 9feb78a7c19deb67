"""Stand-ins for the libvirt, command and kubernetes provider plugins: real protocol, real laws, a world of files.

The engine starts ``pulumi-resource-NAME`` (see ``install``), which runs ``lab.plugins.NAME``. ``server`` and
``protocol`` speak the engine's language, ``base`` takes an operation through faults, pace and journal, ``store`` keeps
the world under LAB_DIR; ``libvirt*``, ``command*`` and ``kubernetes*`` hold the laws.
"""
