"""At the moment of deletion: a control plane goes while more than half of the others stay, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import leaving as module
from cluster.leases.update import Update, command_line
from cluster.leaving import Member, consent, destroys_all, dump_members, expendable, load_members, refusal
from components.scripts import quorum
from components.scripts.tools import Done, ScriptError, Tools

ENGINE = Update("this boot", 7, 7)
PLANES = [Member(f"control-{n}", f"uuid-{n}", f"qemu+ssh://ws-{n}/system") for n in (1, 2, 3)]
DESTROY = "pulumi destroy --yes --stack prod"


@dataclass
class Hosts(Tools):
    """Each member's state in the words of its libvirt; None: not defined, empty: its libvirt does not answer."""

    states: dict[str, str | None] = field(default_factory=lambda: {each.uuid: "running" for each in PLANES})

    def run(self, words: Sequence[str], timeout_s: float) -> Done:
        assert words[4] == "domstate"
        state = self.states[words[5]]
        if state is None:
            return Done(1, "", "error: failed to get domain")
        return Done(0, state) if state else Done(1, "", "error: no route to host")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command line of the engine above this process; it may be changed."""
    words: list[str] = ["pulumi", "up"]
    monkeypatch.setattr(module, "running_update", lambda: ENGINE)
    monkeypatch.setattr(module, "command_line", lambda _: words)
    yield words


def told(folder: Path, number: int, planes: Sequence[Member] = PLANES) -> dict[str, str]:
    me = PLANES[number - 1]
    place = {"VM": me.name, "UUID": me.uuid, "URI": me.uri}
    return {**place, "MEMBERS": dump_members(planes), "LEAVING": str(folder / "leaving")}


def goes(folder: Path, number: int, hosts: Hosts | None = None, **more: str) -> str:
    return quorum.goes(hosts or Hosts(), {**told(folder, number), **more})


def test_the_first_of_three_may_go_and_the_second_stays_until_it_is_back(tmp_path: Path, engine: list[str]) -> None:
    assert goes(tmp_path, 1) == "control-1 goes: 2 of 3 control planes stay"
    for _ in range(2):
        with pytest.raises(ScriptError) as caught:
            goes(tmp_path, 2)
    assert str(caught.value) == (
        "control-2 stays: it is a control plane, and etcd with 3 members bears the loss of 1: only control-3 would be"
        " left; control-1 goes already; take back what asks for it (pulumi state untaint, --target-replace, --target),"
        " update until control-1 is ready again, then ask for control-2; or, where the cluster may be lost, name it:"
        " CLOUD_EXPENDABLE=control-2 in the environment of the engine, or kubernetes.expendable: [control-2] in the"
        " settings of an update; pulumi destroy without --target and --exclude takes the whole stack"
    )
    assert goes(tmp_path, 1)  # run again, as after a kill
    quorum.stays(Hosts(), told(tmp_path, 1))
    assert goes(tmp_path, 2)


def test_one_that_is_off_or_cannot_be_asked_is_not_counted_on(tmp_path: Path, engine: list[str]) -> None:
    for state in ("shut off", None, "", "paused"):
        with pytest.raises(ScriptError, match="only control-3 would be left; control-2 is not running"):
            goes(tmp_path, 1, Hosts({"uuid-1": "running", "uuid-2": state, "uuid-3": "running"}))


def test_what_has_gone_already_is_no_loss(tmp_path: Path, engine: list[str]) -> None:
    gone = Hosts({"uuid-1": None, "uuid-2": "running", "uuid-3": "shut off"})
    assert goes(tmp_path, 1, gone) == "control-1 has gone already"
    with pytest.raises(ScriptError, match="does not answer"):
        goes(tmp_path, 1, Hosts({**gone.states, "uuid-1": ""}))


def test_the_only_one_stays(tmp_path: Path, engine: list[str]) -> None:
    alone = {**told(tmp_path, 1), "MEMBERS": dump_members(PLANES[:1])}
    with pytest.raises(ScriptError, match="etcd with 1 member bears the loss of 0: none would be left; where"):
        quorum.goes(Hosts(), alone)


@pytest.mark.parametrize("names", ["control-2", "control-3, control-2"])
def test_who_is_named_goes(tmp_path: Path, engine: list[str], names: str) -> None:
    goes(tmp_path, 1)
    assert goes(tmp_path, 2, CLOUD_EXPENDABLE=names) == "control-2 goes: it is expendable"
    with pytest.raises(ScriptError, match="none would be left; control-1, control-2 go already"):
        goes(tmp_path, 3, CLOUD_EXPENDABLE="control-2")


def test_consent_of_the_settings_holds_for_their_own_update(
    tmp_path: Path, engine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "leaving"
    goes(tmp_path, 1)
    consent(folder, ("control-2",))
    assert goes(tmp_path, 2) == "control-2 goes: it is expendable"
    monkeypatch.setattr(module, "running_update", lambda: Update("this boot", 8, 8))
    with pytest.raises(ScriptError):
        goes(tmp_path, 2)
    (folder / "consent.json").write_text("{")
    assert expendable(folder, {}) == set()
    monkeypatch.setattr(module, "running_update", lambda: None)
    consent(folder, ("control-2",))
    assert expendable(folder, {}) == set(), "no engine, no update"


def test_a_whole_stack_goes_and_leaves_no_note(tmp_path: Path, engine: list[str]) -> None:
    goes(tmp_path, 1)
    engine[:] = DESTROY.split()
    off = Hosts({each.uuid: "" for each in PLANES})
    for number in (3, 2, 1):
        assert goes(tmp_path, number, off) == f"control-{number} goes with the whole stack"
    assert not (tmp_path / "leaving").exists()


@pytest.mark.parametrize(
    ("line", "all_of_it"),
    [
        (DESTROY, True),
        ("/usr/bin/pulumi -C /srv/cloud --color never down -y", True),
        ("pulumi --logflow -v 9 dn --skip-preview --exclude-protected --refresh -m text", True),
        ("pulumi destroy --preview-only=false --config-file Pulumi.prod.yaml", True),
        ("pulumi destroy --target urn", False),
        ("pulumi destroy --target=urn --target-dependents", False),
        ("pulumi destroy -t urn", False),
        ("pulumi destroy -yt urn", False),
        ("pulumi destroy -f --exclude urn", False),
        ("pulumi destroy -xurn", False),
        ("pulumi up --yes", False),
        ("pulumi up destroy", False),
        ("pulumi -C destroy up", False),
        ("pulumi", False),
        ("", False),
    ],
)
def test_what_destroys_the_whole_stack(line: str, all_of_it: bool) -> None:
    assert destroys_all(line.split(), {}) is all_of_it
    assert not destroys_all(line.split(), {"PULUMI_OPTION_TARGET": "urn"})
    assert not destroys_all(line.split(), {"PULUMI_OPTION_EXCLUDE": "urn"})


def test_an_engines_words_are_its_processs(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_bytes(b"pulumi\0destroy\0--message\0a b\0")
    assert command_line(ENGINE, tmp_path) == ["pulumi", "destroy", "--message", "a b"]
    assert command_line(Update("this boot", 8, 8), tmp_path) == []


def test_members_read_back() -> None:
    assert load_members(dump_members(PLANES)) == PLANES


@given(st.integers(1, 7), st.data())
def test_in_whatever_order_they_are_asked_for_more_than_half_stay(count: int, data: st.DataObject) -> None:
    planes = [Member(f"c{n}", "", "") for n in range(count)]
    running = {each.name for each in planes if data.draw(st.booleans())}
    before, leaving = set(running), set[str]()
    for name in data.draw(st.lists(st.sampled_from([each.name for each in planes]))):
        if refusal(name, planes, running, leaving) is None:
            leaving.add(name)
        elif data.draw(st.booleans()) and leaving:
            leaving.discard(data.draw(st.sampled_from(sorted(leaving))))  # it is back
        left = before - leaving
        assert not leaving or len(left) > count / 2
