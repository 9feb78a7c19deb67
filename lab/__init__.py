"""The lab: the same program on the real engine, with stand-ins where a test machine cannot carry the real thing."""
