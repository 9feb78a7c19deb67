"""Ansible as the program runs it: a play with its log, its events, and what to say of a failure."""

from cluster.ansible.events import End, Failure, Task
from cluster.ansible.run import Outcome, Play, play

__all__ = ["End", "Failure", "Outcome", "Play", "Task", "play"]
