# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt makes of a definition before it is sent and after it was rebuilt: the same VM.

The definitions are tests/unit/vm/corpus/allowed.xml: all that may come from a peer. One libvirtd
defines each, tells what it understood, and is given what the rebuild makes of that.
"""

import base64
import difflib
import json
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from labkit.lab import PROJECT
from labkit.moves import move

TOOL = "tests/unit/vm/rebuild-tool"
INSIDE = "/root/rebuild-tool"
CORPUS = PROJECT / "tests/unit/vm/corpus/allowed.xml"
# Where libvirt 9.0 keeps the VM's own copy of its firmware's variables: this host's choice
OF_THIS_HOST = [r"<nvram [^>]*>\S*</nvram>"]
# What the rebuild adds where it is missing
CHAIN_END = r"<backingStore/>"
# Of a VM that runs: chosen anew by the host to which it comes
OF_A_RUN = [r" id='\d+'", r"<seclabel .*</seclabel>", r"<seclabel [^>]*/>", r"<alias name='(?!ua-)[^']*'/>",
            r"<target dev='(vnet|tap)\d+'/>", r"/dev/pts/\d+", r" tty='[^']*'", r"<source path=''/>",
            r"/var/lib/libvirt/qemu/channel/[^']*", r"<source mode='bind' path='[^']*'/>", r" index='\d+'",
            r" state='(dis)?connected'"]


@pytest.fixture(scope="module")
def tool(lab, hv1):
    build = lab.dir / "build"
    subprocess.run(["ninja", "-C", build, TOOL], check=True, capture_output=True)
    for path, inside in ((build / TOOL, INSIDE), (CORPUS, "/root/allowed.xml")):
        text = base64.b64encode(path.read_bytes()).decode()
        hv1.run("bash", "-c", f"base64 -d >{inside} && chmod 755 {inside}", input=text)


def lines(xml, volatile):
    xml = xml.replace('"', "'")
    for pattern in volatile:
        xml = re.sub(pattern, "", xml, flags=re.S)
    return ET.canonicalize(xml, strip_text=True).replace("><", ">\n<").splitlines()


def differences(before, after, volatile):
    return [line for line in difflib.unified_diff(lines(before, volatile), lines(after, volatile), lineterm="", n=0)
            if not line.startswith(("---", "+++", "@@"))]


def test_rebuilt_definition_is_the_same_to_libvirt(hv1, tool):
    wanted = {variant.get("name"): variant.get("here") for variant in ET.parse(CORPUS).getroot().iter("variant")}
    said = [json.loads(line) for line in hv1.run(INSIDE, "variants", "/root/allowed.xml").stdout.splitlines()]
    assert [one["name"] for one in said] == list(wanted)
    same = 0
    for one in said:
        if "before" not in one:  # this libvirt does not know it: newer, for another machine, or without its package
            assert wanted[one["name"]] in ("no", "packages"), f"{one['name']}: {one['error']}"
            continue
        assert "error" not in one, f"{one['name']}: {one['error']}"
        assert differences(one["before"], one["after"], [*OF_THIS_HOST, CHAIN_END]) == [], one["name"]
        assert one["after"].count(CHAIN_END) == one["after"].count("protocol='nbd'"), one["name"]
        same += 1
    print(same, "of", len(said), "definitions")
    assert same >= 60


def test_comparison_sees_a_difference():
    before = "<domain id='3'>\n  <vcpu>2</vcpu>\n</domain>"
    assert differences(before, before.replace("id='3'", "id='4'"), OF_A_RUN) == []
    assert differences(before, before.replace("<vcpu>2", "<vcpu>1"), OF_A_RUN) == ["-<vcpu>2</vcpu>",
                                                                                            "+<vcpu>1</vcpu>"]


def qcow2_backing(host, guest):
    """What QEMU was told to put below the VM's one qcow2 disk"""
    words = host.run("bash", "-c", f"cat /proc/$(cat /run/libvirt/qemu/{guest.name}.pid)/cmdline").stdout.split("\0")
    nodes = [json.loads(words[i + 1]) for i, word in enumerate(words) if word == "-blockdev"]
    found, = [node for node in nodes if node["driver"] == "qcow2"]
    return found["backing"]


def test_moved_vm_is_the_same_to_libvirt(lab, hv1, hv2):
    """Running and as it will start again; there and back"""
    guest = lab.create_guest("same", disks=("raw:64M", "qcow2:64M"), on=hv1)
    try:
        assert qcow2_backing(hv1, guest) is None
        live, off = (hv1.virsh("dumpxml", guest.name, *form) for form in ((), ("--inactive",)))
        for source, target in ((hv1, hv2), (hv2, hv1)):
            move(source, guest, target)
            assert differences(live, target.virsh("dumpxml", guest.name), OF_A_RUN) == []
            assert qcow2_backing(target, guest) is None     # "backing": null: it looks for none
            assert differences(off, target.virsh("dumpxml", guest.name, "--inactive"), OF_THIS_HOST) == []
    finally:
        lab.delete_guest(guest)
