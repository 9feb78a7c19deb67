"""Preflight of real nodes: SSH, sudo, Python, Ansible and the network are real, and so is what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

from cluster import preflight
from cluster.preflight import Limits
from cluster.report import Problem, Report
from tests.network.site import Site


def limits(site: Site) -> Limits:
    """What the kernel of a machine that rehearses nodes cannot give each of them is not demanded."""
    wanted = Limits.of(site.settings())
    free = {"/": 0, "/var/lib": 8, "/tmp": 1000}
    return replace(wanted, modules=("overlay",), controllers=(), free_mib=free, free_inodes=0, share=0.0)


LATER = "import time; real = time.time; time.time = lambda: real() + 3600"


def look(site: Site, name: str) -> Report:
    settings = site.settings()
    log = site.folder / f"{name}.log"
    report = preflight.check(site.inventory(settings), log, settings, site.ansible, limits=limits(site))
    print(report, log.read_text()[-3000:] if not report.ok else "")
    return report


def of(report: Report, node: str, what: str) -> Problem:
    found = [each for each in (*report.problems, *report.warnings) if each.node == node and each.what.startswith(what)]
    assert len(found) == 1, (node, what, str(report))
    return found[0]


def test_healthy_nodes_have_no_problem(site: Site) -> None:
    heard: list[str] = []
    settings = site.settings()
    log = site.folder / "healthy.log"
    report = preflight.check(
        site.inventory(settings), log, settings, site.ansible, limits=limits(site), say=heard.append
    )
    assert report.problems == (), (str(report), log.read_text())
    assert heard[0] == "Ask each node about itself"
    # systemd does not run on them, so nobody can say whether their clocks are synchronised
    assert {each.what for each in report.warnings} <= {"clock"}
    # nothing stays behind: no listener, no file
    for node in site.nodes.values():
        assert "10250" not in node.run("ss", "-ltn")


def test_a_link_between_that_carries_less_than_both_ends(site: Site) -> None:
    one = site.nodes["worker-1"]
    site.outside("ip", "link", "set", one.link, "mtu", "1400")
    try:
        report = look(site, "mtu")
    finally:
        site.outside("ip", "link", "set", one.link, "mtu", "1500")
    assert {each.what for each in report.problems} == {"mtu"}
    assert of(report, "control-1, worker-2 -> worker-1", "mtu").found == "packets of 1400 bytes pass at most"


def test_every_problem_of_every_node_is_in_one_report(site: Site) -> None:
    control, one, two = site.nodes.values()
    control.sh("iptables -A INPUT -p tcp --dport 10250 -j DROP")
    control.sh("printf 'Filename Type Size Used Priority\\n/dev/vdb partition 1048572 0 -2\\n' > /tmp/swaps")
    control.sh("mount --bind /tmp/swaps /proc/swaps")
    # The clock is the machine's, which no namespace changes: Python on that node is told another time.
    one.sh('for file in /etc/python3*/sitecustomize.py; do echo "$LATER" >> $file; done'.replace("$LATER", LATER))
    one.sh("dd if=/dev/zero of=/tmp/full bs=1M count=900 status=none")
    one.sh("sed -i '/worker-2/d; s/.* control-1/10.77.0.99 control-1/' /etc/hosts")
    two.run("ip", "link", "set", "eth0", "mtu", "1400")
    two.run("hostname", "worker-1")
    two.run("sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=2")
    stranger = two.start("/usr/bin/python3", "-m", "http.server", "--bind", two.address, "10250")
    try:
        report = look(site, "several")
    finally:
        two.run("pkill", "-f", "http.server")
        stranger.wait()
    blocked = of(report, "worker-1, worker-2 -> control-1", "port 10250/tcp")
    assert (blocked.found, "iptables -S" in blocked.remedy) == ("timeout", True)
    assert of(report, "control-1", "swap").found == "/dev/vdb"
    assert any(" s ahead of" in each.found for each in report.problems if each.node == "worker-1")
    assert of(report, "worker-1", "disk /tmp").severity == "error"
    assert "do not resolve: worker-2" in {each.found for each in report.warnings}
    assert any(each.found == "control-1 resolves to 10.77.0.99" for each in report.problems)
    assert of(report, "worker-2", "mtu").found == "1400 on eth0"
    assert of(report, "worker-2", "hostname").wanted == "worker-2"
    assert of(report, "worker-1, worker-2", "hostname").found == "all have worker-1"
    assert of(report, "worker-2", "sysctl").wanted.startswith("0 or 1")
    assert of(report, "worker-2", "port 10250/tcp").found == "taken by python3"
    assert all(each.remedy for each in report.problems)
    # one cause is told once: the short interface explains both ways to it
    assert not [each for each in report.problems if each.what == "mtu" and "->" in each.node]


def test_nodes_that_cannot_be_asked_are_in_the_same_report(site: Site) -> None:
    control, one, two = site.nodes.values()
    control.sh("rm /etc/sudoers.d/cloud")
    one.sh("mv /usr/bin/python3 /usr/bin/python3.away")
    two.sh("ssh-keygen -q -t ed25519 -N '' -f /tmp/other && cp /tmp/other.pub /home/cloud/.ssh/authorized_keys")
    two.run("pkill", "-u", "cloud")  # Ansible keeps connections open for the next play
    report = look(site, "access")
    assert {each.node: each.what for each in report.problems} == {
        "control-1": "sudo",
        "worker-1": "python",
        "worker-2": "access",
    }
    assert "does not let cloud become root without a password" in of(report, "control-1", "sudo").found
    assert "does not let us in by SSH" in of(report, "worker-2", "access").found
    assert "sudoers.d/cloud" in str(report)
