# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for all tests.

Raised by the first test that needs it and torn down after the last; or, with
VMFERRY_TEST_LAB=NAME, a lab that is running already and goes on running. hv1 and hv2 are the
hosts between which VMs move; hv3 is joined to the domain but not in the group of VM hosts, and is
the one whose account, configuration and cables tests spoil.
"""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from labkit.lab import Lab  # noqa: E402

RAISED_LAB = "run-tests"
HOSTS = ("hv1", "hv2", "hv3")


@pytest.fixture(scope="session")
def lab(request):
    name = os.environ.get("VMFERRY_TEST_LAB")
    found = Lab(name) if name else Lab.of_this_process(RAISED_LAB)
    if not name:
        found.up(VMFERRY_LAB_HVS=" ".join(HOSTS), VMFERRY_LAB_MEMBERS="hv1 hv2")
        request.addfinalizer(found.down)
        found.host("hv1").virsh("destroy", "demo")  # no test needs it, and its heartbeat costs CPU time
    request.config.stash[LAB_KEY] = found
    return found


@pytest.fixture(scope="session")
def hv1(lab):
    return lab.host("hv1")


@pytest.fixture(scope="session")
def hv2(lab):
    return lab.host("hv2")


@pytest.fixture(scope="session")
def hv3(lab):
    return lab.host("hv3")


@pytest.fixture(autouse=True)
def in_order(request):
    """One failure does not make others: what the test before may have left ended runs again"""
    lab = request.config.stash.get(LAB_KEY, None)
    if lab and request.config.stash.get(SPOILED_KEY, False):
        lab.put_right(HOSTS)
    request.config.stash[SPOILED_KEY] = False


# What the daemons logged during a test is shown when it fails.

LAB_KEY = pytest.StashKey()
OFFSETS_KEY = pytest.StashKey()
SPOILED_KEY = pytest.StashKey()
SHOWN_BYTES = 6000


def _logs(lab):
    return [path for host in HOSTS for path in sorted((lab.log_dir / host / "lab").glob("*.log"))]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    lab = item.config.stash.get(LAB_KEY, None)
    item.stash[OFFSETS_KEY] = {path: path.stat().st_size for path in _logs(lab)} if lab else {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    lab = item.config.stash.get(LAB_KEY, None)
    if not report.failed or lab is None:
        return
    item.config.stash[SPOILED_KEY] = True
    offsets = item.stash.get(OFFSETS_KEY, {})
    for path in _logs(lab):
        with open(path, "rb") as file:
            file.seek(max(offsets.get(path, 0), path.stat().st_size - SHOWN_BYTES))
            text = file.read().decode("utf-8", "replace")
        if text:
            report.sections.append((f"log {path.relative_to(lab.log_dir)}", text))
