"""Programs that have to be on the machine where Pulumi runs."""

from __future__ import annotations

from cluster.remedies.fault import fault

FAULTS = (
    fault(
        "xsltproc-missing",
        r'exec: "xsltproc": executable file not found',
        "xsltproc is not installed on the machine that runs Pulumi; the libvirt provider needs it for every VM",
        "sudo apt-get install xsltproc (Debian, Ubuntu; libxslt elsewhere), then run the same again",
    ),
    fault(
        "mkisofs-missing",
        r'exec: "mkisofs": executable file not found',
        "mkisofs is not installed on the machine that runs Pulumi; the libvirt provider makes cloud-init disks with it",
        "sudo apt-get install genisoimage (Debian, Ubuntu; cdrtools or xorriso elsewhere), then run the same again",
    ),
    fault(
        "stylesheet",
        r"error applying XSLT stylesheet: (?P<why>.*)",
        "xsltproc could not apply this program's stylesheet to the definition ({why})",
        "this is a defect of the program, or of xsltproc: xsltproc --version; report it with the whole output",
    ),
)
