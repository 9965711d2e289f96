# SPDX-License-Identifier: GPL-3.0-or-later
"""Who on a host may do what: root, the group, anyone, and whom polkit's rules name; with a real polkitd
and without one. On hv3; that a job is guarded like the rest, on hv1."""

import contextlib
import re
import shlex

import pytest

from labkit.lab import until
from labkit.moves import assert_says
from labkit.terminal import sit

MEMBER, STRANGER, GRANTED = "news", "games", "bin"
SERVICE_FILE = "/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service"
OWN_RULES = "/etc/polkit-1/rules.d/10-test.rules"

READS = [("list",), ("hosts",), ("doctor",), ("jobs",)]
# action -> a call that needs it, and what its verb says to it
ACTS = {
    "org.vmferry1.check": (("check", "absent", "--to", "hv1"), r"no VM 'absent'"),
    "org.vmferry1.migrate": (("migrate", "absent", "--to", "hv1"), r"no VM 'absent'"),
    "org.vmferry1.cancel": (("cancel", "999999"), r"no move with number 999999"),
    "org.vmferry1.define": (("define", "/tmp/authority.xml"), r"names no disk on a share"),
    "org.vmferry1.recover": (("recover", "smb://fs1.lab.test/other/absent"), r"not among the allowed shares"),
}


def as_user(host, user, *command):
    """Runs it with the user's number and no group: only the user database says who is in which"""
    return host.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command, check=False)


def vmferry_as(host, user, *arguments):
    return as_user(host, user, "vmferry", *arguments)


def answers(host, user, verbs):
    """What each of the verbs answered the user: (status, text), in one go"""
    script = "".join(f"vmferry {shlex.join(verb)} 2>&1; echo; echo =STATUS=$?\n".replace("; echo; echo =STATUS=$?",
                                                                                   "; s=$?; echo; echo =STATUS=$s")
                     for verb in verbs)
    told = as_user(host, user, "sh", "-c", script).stdout
    found = re.findall(r"(.*?)\n=STATUS=(\d+)\n", told, re.S)
    assert len(found) == len(verbs), told
    return [(int(status), text.strip()) for text, status in found]


def allowed(host, user):
    """The actions that are granted. Each verb fails, of what it is asked; or it was not let through."""
    granted = set()
    for action, (status, text) in zip(ACTS, answers(host, user, [verb for verb, _ in ACTS.values()])):
        denied = re.search(rf"'{user}' may not .*{re.escape(host.fqdn)} \({re.escape(action)}\): ", text)
        own = re.search(ACTS[action][1], text)
        assert bool(denied) != bool(own) and status in (1, 3), text
        if own:
            granted.add(action)
    return granted


def assert_reads(host, user):
    for (status, text), (roots_status, roots_text) in zip(answers(host, user, READS), answers(host, "root", READS)):
        assert (status, len(text.splitlines())) == (roots_status, len(roots_text.splitlines())), text


def call_as(host, user, method, *arguments, path="/org/vmferry1"):
    return as_user(host, user, "dbus-send", "--system", "--print-reply", "--dest=org.vmferry1", path, method,
                   *arguments)


@pytest.fixture(scope="module", autouse=True)
def users(hv3):
    hv3.run("usermod", "-aG", "vmferry", MEMBER)
    hv3.run("sh", "-c", "echo '<domain type=\"kvm\"/>' >/tmp/authority.xml; chmod 644 /tmp/authority.xml")
    yield
    hv3.run("gpasswd", "-d", MEMBER, "vmferry")


@contextlib.contextmanager
def no_polkit(host):
    """The bus does not start it, and it does not run"""
    host.run("mv", SERVICE_FILE, "/tmp/polkit.service")
    host.service("reload", "dbus")
    host.run("sh", "-c", "pid=$(pidof polkitd) && kill $pid", check=False)
    try:
        until(lambda: host.run("dbus-send", "--system", "--dest=org.freedesktop.DBus", "--print-reply", "/",
                               "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.PolicyKit1"
                               ).stdout.strip().endswith("false"), 10, "polkitd is gone")
        yield
    finally:
        host.run("mv", "/tmp/polkit.service", SERVICE_FILE)
        host.service("reload", "dbus")


@contextlib.contextmanager
def rules(host, text):
    """A rules file of the administrator's; polkitd reads its folders when it starts"""
    restart = ("sh", "-c", "pid=$(pidof polkitd) && kill $pid && while [ -e /proc/$pid ]; do :; done; true")
    host.run("mkdir", "-p", OWN_RULES.rpartition("/")[0])
    host.run("tee", OWN_RULES, input=text)
    host.run(*restart)
    try:
        yield
    finally:
        host.run("rm", OWN_RULES)
        host.run(*restart)


def test_root_is_never_asked_about(hv3):
    """Whatever polkit would say"""
    with rules(hv3, "polkit.addRule(function (action, subject) { return polkit.Result.NO; });"):
        assert_reads(hv3, "root")
        assert allowed(hv3, "root") == set(ACTS)


def test_polkit_lets_anyone_read_and_nothing_else(hv3):
    assert_reads(hv3, STRANGER)
    assert allowed(hv3, STRANGER) == set()
    said = vmferry_as(hv3, STRANGER, "migrate", "absent", "--to", "hv1")
    assert said.returncode == 1
    assert_says(said.stderr, r"^vmferry: 'games' may not move VMs away from hv3\.lab\.test \(org\.vmferry1\.migrate\)",
                r"administrator", r"group 'vmferry'", r"/etc/polkit-1/rules\.d", r"vmferryd\(8\)")


def test_polkit_lets_the_group_do_everything(hv3):
    assert_reads(hv3, MEMBER)
    assert allowed(hv3, MEMBER) == set(ACTS)


def test_rule_grants_one_verb_to_one_user(hv3):
    with rules(hv3, "polkit.addRule(function (action, subject) {"
                    f" if (action.id == 'org.vmferry1.migrate' && subject.user == '{GRANTED}')"
                    " return polkit.Result.YES; });"):
        assert allowed(hv3, GRANTED) == {"org.vmferry1.migrate"}
        assert allowed(hv3, STRANGER) == set()
    assert allowed(hv3, GRANTED) == set()


def test_rule_takes_a_verb_from_the_group(hv3):
    with rules(hv3, "polkit.addRule(function (action, subject) {"
                    " if (action.id == 'org.vmferry1.define') return polkit.Result.NO; });"):
        assert allowed(hv3, MEMBER) == set(ACTS) - {"org.vmferry1.define"}


def test_rule_takes_reading_from_a_user(hv3):
    with rules(hv3, "polkit.addRule(function (action, subject) {"
                    f" if (action.id == 'org.vmferry1.read' && subject.user == '{STRANGER}')"
                    " return polkit.Result.NO; });"):
        for status, text in answers(hv3, STRANGER, READS):
            assert status == 1
            assert_says(text, r"'games' may not see the state of hv3\.lab\.test \(org\.vmferry1\.read\)")
        assert_reads(hv3, GRANTED)


def test_without_polkit_root_and_the_group_and_anyone_reads(hv3):
    with no_polkit(hv3):
        for user in ("root", MEMBER, STRANGER):
            assert_reads(hv3, user)
            assert allowed(hv3, user) == (set() if user == STRANGER else set(ACTS))
        said = vmferry_as(hv3, STRANGER, "migrate", "absent", "--to", "hv1").stderr
        assert_says(said, r"root or in the group 'vmferry'", r"no polkit")


def test_libvirts_hook_is_roots(hv3):
    """Even a member of the group may not say that libvirt starts a VM."""
    for user in (MEMBER, STRANGER):
        result = call_as(hv3, user, "org.vmferry1.Manager.Hook", "string:prepare", "string:begin",
                         "string:<domain/>")
        assert result.returncode != 0
        assert_says(result.stderr, r"AccessDenied")


def test_bus_lets_nothing_else_through(hv3):
    name = call_as(hv3, STRANGER, "org.freedesktop.DBus.Properties.Get", "string:org.vmferry1.Manager",
                   "string:Version")
    assert name.returncode == 0, name
    for method, arguments in (("org.freedesktop.DBus.Properties.Set", ("string:org.vmferry1.Manager", "string:Version", "variant:string:9")),
                              ("org.freedesktop.DBus.ObjectManager.GetManagedObjects", ()),
                              ("org.example.Other.Method", ())):
        result = call_as(hv3, STRANGER, method, *arguments)
        assert result.returncode != 0
        assert_says(result.stderr, r"AccessDenied")
    owned = as_user(hv3, STRANGER, "dbus-send", "--system", "--dest=org.freedesktop.DBus", "--print-reply", "/",
                    "org.freedesktop.DBus.RequestName", "string:org.vmferry1", "uint32:2")
    assert owned.returncode != 0
    assert_says(owned.stderr, r"AccessDenied")


def test_job_is_guarded_as_well(lab, hv1):
    """A move that was refused: its object stays a while."""
    lab.check("vm-create", "guarded")
    guest = lab.guest("guarded")
    try:
        hv1.vmferry("define", "/usr/share/vmferry-lab/vms/guarded.xml")
        assert hv1.vmferry("migrate", "guarded", "--to", "hv2", check=False).returncode == 1
        number = hv1.vmferry_json("jobs", "-n", "1")["jobs"][0]["id"]
        path = f"/org/vmferry1/job/{number}"
        stage = call_as(hv1, STRANGER, "org.freedesktop.DBus.Properties.Get", "string:org.vmferry1.Job",
                        "string:Stage", path=path)
        assert stage.returncode == 0, stage
        refused = call_as(hv1, STRANGER, "org.vmferry1.Job.Cancel", path=path)
        assert_says(refused.stderr, r"Error\.Denied", r"'games' may not cancel moves", r"org\.vmferry1\.cancel")
        assert "Denied" not in call_as(hv1, "root", "org.vmferry1.Job.Cancel", path=path).stderr
    finally:
        lab.delete_guest(guest)


def test_password_is_asked_for_on_a_terminal(hv3):
    """polkit wants the caller's own: vmferry brings somebody who asks, and who is gone with it"""
    hv3.run("sh", "-c", "useradd -M asked && echo 'asked:It is me' | chpasswd")
    try:
        with rules(hv3, "polkit.addRule(function (action, subject) {"
                        " if (action.id == 'org.vmferry1.cancel') return polkit.Result.AUTH_SELF; });"):
            said = sit(hv3, "asked", "It is me", "vmferry", "cancel", "999999")
            assert_says(said, r"Authentication is required to cancel the move", r"no move with number 999999")
            said = sit(hv3, "asked", "I am not", "vmferry", "cancel", "999999")
            assert_says(said, r"AUTHENTICATION FAILED", r"'asked' may not cancel moves")
            said = vmferry_as(hv3, "asked", "cancel", "999999").stderr  # nobody sits there
            assert_says(said, r"'asked' may not cancel moves", r"could not be asked")
        assert hv3.run("pidof", "pkttyagent", check=False).returncode == 1
    finally:
        hv3.run("userdel", "asked")
