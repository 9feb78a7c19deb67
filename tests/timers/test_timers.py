"""The timer: cron lines held to systemd's own reading, units as agreed, put in and out with a stand-in systemctl."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.backup.errors import NO_RESTIC
from cluster.backup.timer import TASK as BACKUP
from cluster.timers.__main__ import down, up
from cluster.timers.calendar import following, go_cron, longest, on_calendar
from cluster.timers.install import InstallError, Machine
from cluster.timers.timer import MARK, Timer, environment, units
from cluster.transfer.timer import TASK as TRANSFER

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
TOLD = {
    "STACK": "prod",
    "SOURCE": "/mnt/bee gfs/models",
    "BUCKET": "models",
    "SCHEDULE": "17 * * * *",
    "AWS_ENDPOINT_URL": "https://s3.models.internal:30443",
    "AWS_ACCESS_KEY_ID": "mlflow",
    "AWS_SECRET_ACCESS_KEY": 'hush"$`\\store',
    "MLFLOW_TRACKING_URI": "https://mlflow.models.internal:30443",
    "MLFLOW_TRACKING_USERNAME": "admin",
    "MLFLOW_TRACKING_PASSWORD": "hush-mlflow",
}


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("17 * * * *", "*-*-* *:17:00"),
        ("*/20 2-4 * * mon-wed", "Mon,Tue,Wed *-*-* 02,03,04:00,20,40:00"),
        ("0 0 1,15 JAN *", "*-01-01,15 00:00:00"),
        ("5 4 * * 0,7", "Sun *-*-* 04:05:00"),
        ("5/30 4 * * 5-7", "Sun,Fri,Sat *-*-* 04:05,35:00"),
        ("@hourly", "hourly"),
        ("@midnight", "daily"),
    ],
)
def test_a_cron_line_becomes_a_calendar(cron: str, calendar: str) -> None:
    assert on_calendar(cron) == calendar


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("every hour", "is not a cron line"),
        ("60 * * * *", "its minute '60' is not in 0-59"),
        ("* * 0 * *", "its day '0' is not in 1-31"),
        ("* * * foo *", "its month 'foo' is not in 1-12"),
        ("5-3 * * * *", "its minute is '5-3'"),
        ("*/0 * * * *", "its minute is '*/0'"),
        ("1,,2 * * * *", "its minute is ''"),
        ("0 0 1 * mon", "names days of the month and of the week at once"),
        ("@reboot", "is not a cron line"),
    ],
)
def test_what_is_no_cron_line_is_told(cron: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"is not a cron line|at once") as error:
        on_calendar(cron)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("cron", "go"),
    [
        ("30 2 * * *", "0 30 2 * * *"),
        ("10 1 * * 0,7", "0 10 1 * * 0"),
        ("*/30 4 1 jan *", "0 0,30 4 1 1 *"),
        ("@weekly", "0 0 0 * * 1"),
        ("@hourly", "0 0 * * * *"),
    ],
)
def test_a_cron_line_as_the_operator_reads_it(cron: str, go: str) -> None:
    assert go_cron(cron) == go


@pytest.mark.parametrize(
    ("cron", "after", "then"),
    [
        ("30 2 * * *", "2026-11-29 02:29:59", "2026-11-29 02:30:00"),
        ("30 2 * * *", "2026-11-29 02:30:00", "2026-11-30 02:30:00"),
        ("0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"),
        ("5 4 * * sun", "2026-11-29 04:05:00", "2026-12-06 04:05:00"),
        ("@monthly", "2026-12-31 23:59:00", "2027-01-01 00:00:00"),
    ],
)
def test_when_a_cron_line_comes_next(cron: str, after: str, then: str) -> None:
    assert following(cron, datetime.fromisoformat(after)) == datetime.fromisoformat(then)


def test_a_day_that_never_comes_is_told() -> None:
    with pytest.raises(ValueError, match="never comes"):
        following("0 0 30 2 *", datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="never comes"):
        longest("0 0 30 2 *")


@pytest.mark.parametrize(
    ("cron", "hours"),
    [
        ("17 * * * *", 1),
        ("30 2 * * *", 24),
        ("10 1 * * 0", 7 * 24),
        ("0 9-17 * * mon-fri", 2 * 24 + 16),  # from Friday evening to Monday morning
        ("0,10 12 * * *", 23 + 50 / 60),
        ("0 0 31 * *", 61 * 24),  # from May to July
        ("0 0 29 2 *", 24 * (365 * 8 + 1)),
        ("@monthly", 31 * 24),
    ],
)
def test_the_longest_pause_of_a_cron_line(cron: str, hours: float) -> None:
    assert longest(cron) == timedelta(hours=hours)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["*/20 * * * *", "5 4 * * 1,4", "0 3-20/4 1-28/3 * *", "15 0 */9 * *"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
)
def test_no_pause_is_longer_than_the_longest(cron: str, moment: datetime) -> None:
    first = following(cron, moment)
    assert following(cron, first) - first <= longest(cron)


@needs_systemd
@pytest.mark.parametrize("cron", ["*/7 3 * * *", "0 0 1,15 */5 *", "30 4 * * 1-5"])
def test_what_comes_next_is_what_systemd_says(cron: str) -> None:
    began = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
    done = subprocess.run(
        ["systemd-analyze", "calendar", f"--base-time={began:%Y-%m-%d %H:%M:%S} UTC", on_calendar(cron)],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    (said,) = (line.split(": ", 1)[1] for line in done.stdout.splitlines() if "Next elapse" in line)
    assert datetime.strptime(said, "%a %Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC) == following(cron, began)


FIELD = st.sampled_from(["*", "*/7", "3", "2-5", "1,4", "1-5/2"])


@needs_systemd
@settings(max_examples=25)
@given(FIELD, FIELD, FIELD, FIELD)
def test_systemd_reads_it_as_cron_does(minute: str, hour: str, day: str, month: str) -> None:
    """The next hour that systemd-analyze tells is one that the cron line names; cron's own rule is written out here."""
    line = on_calendar(f"{minute} {hour} {day} {month} *")
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=3", line],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [each.split(": ", 1)[1] for each in done.stdout.splitlines() if "elapse" in each or "Iter" in each]
    assert words
    for each in words:
        then = datetime.strptime(each, "%a %Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
        pairs = (
            (minute, then.minute, 0, 59),
            (hour, then.hour, 0, 23),
            (day, then.day, 1, 31),
            (month, then.month, 1, 12),
        )
        assert all(_names(field, value, least, most) for field, value, least, most in pairs), (line, each)


def _names(field: str, value: int, least: int, most: int) -> bool:
    found: set[int] = set()
    for piece in field.split(","):
        span, _, step = piece.partition("/")
        first, _, last = span.partition("-")
        low, high = (least, most) if span == "*" else (int(first), int(last or first))
        found |= set(range(low, high + 1, int(step or 1)))
    return value in found


PROJECT, PYTHON = Path("/srv/cloud"), Path("/srv/cloud/.venv/bin/python")
TIMERS = (
    (TRANSFER, {"STACK": "prod", "SOURCE": "/mnt/beegfs/models", "BUCKET": "models", "SCHEDULE": "17 * * * *"}),
    (BACKUP, {"STACK": "prod", "PLACE": "/mnt/nas/cloud", "SCHEDULE": "30 2 * * *"}),
)


def timer(project: Path = PROJECT, python: Path = PYTHON, **told: str) -> Timer:
    return TRANSFER.timer({**TIMERS[0][1], **told}, project, python)


def test_the_units_are_as_agreed() -> None:
    got = {name: text for task, told in TIMERS for name, text in units(task.timer(told, PROJECT, PYTHON)).items()}
    folder = Path(__file__).parent / "golden"
    for name, text in got.items():
        if os.environ.get("GOLDEN") == "write":
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        assert text == (folder / name).read_text()
    assert set(got) == {each.name for each in folder.iterdir()}


@needs_systemd
def test_systemd_takes_the_units_and_reads_odd_names_as_they_are(tmp_path: Path) -> None:
    """``systemd-analyze verify`` on real files: a folder with a space, a percent sign, a dollar and quotes."""
    project = tmp_path / "100% ours"
    (project / ".cloud/prod").mkdir(parents=True)
    (project / ".cloud/prod/transfer.env").write_text("")
    program = project / "py thon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in units(timer(project=project, python=program, SOURCE='/mnt/$HOME "x"')).items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / f"inference-cloud-transfer-prod.{end}") for end in ("service", "timer")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "inference-cloud-transfer" in line]
    assert ours == []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A stand-in for systemctl that writes down what it is asked, and fails where a file tells it to."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    program = bin_dir / "systemctl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ ! -e {tmp_path}/broken ] || {{ echo no bus >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    # The fetched CA: a stand-in for kubectl that prints the Secret's key.
    kubectl = bin_dir / "kubectl"
    ca = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    kubectl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/kubectl-asked\nprintf %s {ca}\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    return Machine(tmp_path / "units", ("systemctl", "--user"))


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def test_it_is_put_in_twice_and_taken_out_twice(tmp_path: Path, machine: Machine) -> None:
    project = tmp_path / "project"
    (tmp_path / "kube").touch()
    told = {**TOLD, "KUBECONFIG": str(tmp_path / "kube")}
    for _ in range(2):
        assert "inference-cloud-transfer-prod.timer is on: 17 * * * *" in up(TRANSFER, told, project, machine)
    logins = project / ".cloud/prod/transfer.env"
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    assert f'AWS_CA_BUNDLE="{project}/.cloud/prod/ca.crt"\n' in logins.read_text()
    assert {each.name for each in machine.folder.iterdir()} == set(units(timer()))
    assert all("hush" not in each.read_text() for each in machine.folder.iterdir())
    assert "hush" not in (tmp_path / "asked").read_text()
    assert "--user enable --now inference-cloud-transfer-prod.timer" in asked(tmp_path)
    for _ in range(2):
        down(TRANSFER, {"STACK": "prod"}, project, machine)
    assert list(machine.folder.iterdir()) == [] and list((project / ".cloud/prod").iterdir()) == []
    assert "--user disable --now inference-cloud-transfer-prod.timer" in asked(tmp_path)


def test_the_logins_read_back_as_they_are(tmp_path: Path) -> None:
    """By a shell, whose quoting systemd's own follows for these characters."""
    (tmp_path / "env").write_text(environment(TOLD))
    done = subprocess.run(
        ["sh", "-c", f'. {tmp_path}/env; printf %s "$AWS_SECRET_ACCESS_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == TOLD["AWS_SECRET_ACCESS_KEY"]
    with pytest.raises(ValueError, match="A has several lines"):
        environment({"A": "x\ny"})


def test_a_unit_of_others_is_neither_written_over_nor_removed(tmp_path: Path, machine: Machine) -> None:
    machine.folder.mkdir()
    theirs = machine.folder / "inference-cloud-transfer-prod.service"
    theirs.write_text("[Unit]\n")
    with pytest.raises(InstallError, match="not of inference-cloud; move it away"):
        up(TRANSFER, TOLD, tmp_path / "project", machine)
    down(TRANSFER, {"STACK": "prod"}, tmp_path / "project", machine)
    assert theirs.read_text() == "[Unit]\n"
    assert not (tmp_path / "project").exists()
    assert not MARK.startswith("[")


def test_without_systemd_or_its_bus_it_says_what_to_do(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(InstallError, match="no bus; is systemd running for this user"):
        up(TRANSFER, TOLD, tmp_path / "project", machine)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InstallError, match=r"there is no systemd on this machine; .*cloudctl models sync .* --stack prod"
    ):
        up(TRANSFER, TOLD, tmp_path / "project", machine)


def test_a_ca_that_cannot_be_had_is_told(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "bin/kubectl").write_text("#!/bin/sh\necho forbidden >&2\nexit 1\n")
    with pytest.raises(InstallError, match=r"CA cannot be fetched: kubectl get: forbidden; .*ca_file"):
        (tmp_path / "kube").touch()
        up(TRANSFER, {**TOLD, "KUBECONFIG": str(tmp_path / "kube")}, tmp_path / "project", machine)
    with pytest.raises(InstallError, match="/nowhere is not there"):
        up(TRANSFER, {**TOLD, "CA_FILE": "/nowhere"}, tmp_path / "project", machine)
    assert not machine.folder.exists()


def test_the_backups_go_with_their_password_and_what_they_call(tmp_path: Path, machine: Machine) -> None:
    told = {"STACK": "prod", "PLACE": "/mnt/nas", "SCHEDULE": "@daily", "STORE": "http://s3", "DATABASE": "db"}
    told |= {"BACKUP_PASSWORD": "hush-backup", "HOME": "/home/me", "PATH": "/opt/bin:/usr/bin", "SECRET": "other"}
    project = tmp_path / "project"
    line = up(BACKUP, {**told, "PATH": str(tmp_path)}, project, machine)
    assert line.endswith("timer is on: @daily, http://s3 and db among others into /mnt/nas; " + NO_RESTIC)
    (tmp_path / "restic").touch(mode=0o755)
    line = up(BACKUP, {**told, "PATH": f"{tmp_path}:/usr/bin"}, project, machine)
    assert line.endswith("timer is on: @daily, http://s3 and db among others into /mnt/nas")
    logins = project / ".cloud/prod/backup.env"
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    found = dict(line.split("=", 1) for line in logins.read_text().splitlines())
    assert found == {"BACKUP_PASSWORD": '"hush-backup"', "HOME": '"/home/me"', "PATH": f'"{tmp_path}:/usr/bin"'}
    assert all("hush" not in each.read_text() for each in machine.folder.iterdir())
    down(BACKUP, {"STACK": "prod"}, project, machine)
    assert list(machine.folder.iterdir()) == [] and list((project / ".cloud/prod").iterdir()) == []
