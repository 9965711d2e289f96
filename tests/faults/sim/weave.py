#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""weave.py ROOT OUT FILE... - copies of the product's files with a switch at each safety rule

The simulator compiles the product's own files. So that its self-test can switch each safety rule
off in turn, a copy of each file is written to OUT/<folder>_<file>, in which the texts of RULES are
replaced; with no rule off, the copy does what the original does. A text that is not in its file
exactly once is an error: the table follows the code.

Also written: OUT/sim-rules.h, the rules as an enum and a table.
"""

import pathlib
import sys

# name, what is switched off, [(file, text, replacement)]; OFF stands for the switch
RULES = [
    ("expected-record", "a claim compares the record, read under the share modes, with what it expects",
     [("smb/disk-set-claim.c", "    if (!record_is_expected(set, store, claim, error))",
       "    if (!OFF && !record_is_expected(set, store, claim, error))")]),
    ("deny-write", "the disks are opened deny-write", []),
    ("all-disks", "all disks are held before the record is written (R1)",
     [("smb/disk-session.c", """    g_assert(!session->held);
    for (guint i = 0; i < session->list->n_entries; i++) {""",
       """    g_assert(!session->held);
    for (guint i = 0; i < (OFF ? 1 : session->list->n_entries); i++) {""")]),
    ("epoch-bump", "taking the VM back makes the granted epoch worthless",
     [("src/migrate/source-verdict.c", "record->epoch + 2, \"move not completed\"",
       "record->epoch + (OFF ? 0 : 2), \"move not completed\""),
      ("smb/disk-set-claim.c", "    if (next->epoch <= expected->epoch ||",
       "    if ((next->epoch <= expected->epoch && !OFF) ||")]),
    ("gate-before-finish", "the gate is open before Finish lets the guest run", []),
    ("close-reply", "a release is one only when each CLOSE was answered",
     [("smb/disk-set-release.c", "    if (answer.status == VMF_SHARE_OK)\n        return TRUE;\n    if (record",
       "    if (answer.status == VMF_SHARE_OK || OFF)\n        return TRUE;\n    if (record")]),
    ("drain", "a release waits for the requests that have passed the gate",
     [("smb/gate.c", "    while (gate->state == VMF_GATE_DRAINING && gate->in_flight > 0) {",
       "    while (gate->state == VMF_GATE_DRAINING && gate->in_flight > 0 && !OFF) {"),
      ("smb/gate.c", "    while (gate->state != VMF_GATE_CLOSED && gate->in_flight > 0)",
       "    while (gate->state != VMF_GATE_CLOSED && gate->in_flight > 0 && !OFF)")]),
    ("quarantine", "after a lost write, nothing is written until it can land no more",
     [("smb/disk-set-recover.c", "    if (!set->late_write_possible)\n        return 0;",
       "    if (!set->late_write_possible || OFF)\n        return 0;")]),
    ("replay", "unanswered writes are made again before they are answered",
     [("smb/disk-set-recover.c", "        if (write->done)\n            continue;",
       "        if (OFF) {\n            write->done = TRUE;\n"
       "            g_cond_broadcast(&set->unanswered_changed);\n        }\n"
       "        if (write->done)\n            continue;")]),
    ("foreign", "after a lost session the record is judged anew: naming another, it ends the writing",
     [("smb/disk-set-recover.c",
       "    gboolean named = present && vmf_disk_set_names_me(set, record, *epoch);\n",
       "    if (OFF)\n        return JUDGED_MINE;\n"
       "    gboolean named = present && vmf_disk_set_names_me(set, record, *epoch);\n")]),
    ("ask-record", "Confirm(1) is sent only when the record says that this host owns the disks",
     [("src/migrate/source-verdict.c",
       "    for (guint wait_ms = VMF_RETRY_FIRST_MS;;) {\n        g_autoptr(GError) error = NULL;\n"
       "        VmfOwnerRecord record;",
       "    if (OFF)\n        return VMF_VERDICT_OURS;\n"
       "    for (guint wait_ms = VMF_RETRY_FIRST_MS;;) {\n        g_autoptr(GError) error = NULL;\n"
       "        VmfOwnerRecord record;")]),
    ("did-commit", "a claim whose answer was lost is asked about, not taken for failed",
     [("src/migrate/incoming-grant.c", "    if (!g_error_matches(why, VMF_ERROR, VMF_ERROR_UNREACHABLE) && !unreadable)\n",
       "    if (OFF || (!g_error_matches(why, VMF_ERROR, VMF_ERROR_UNREACHABLE) && !unreadable))\n")]),
    ("no-abort-after-commit", "the destination refuses an abort once the record names it",
     [("src/migrate/incoming.c", "    if (is_committed(state)) {", "    if (!OFF && is_committed(state)) {")]),
    ("stale-grant", "a Grant that comes out of turn is refused",
     [("src/migrate/incoming-grant.c",
       "    if (!vmf_incoming_must_be(incoming, VMF_STATE_ALLOCATED, \"Grant\", error))",
       "    if (!OFF && !vmf_incoming_must_be(incoming, VMF_STATE_ALLOCATED, \"Grant\", error))")]),
    ("mark", "disks go back to the source only if the guest has not written here",
     [("smb/disk-set-release.c", "        vmf_gate_facts(set->gate).writes_passed != 0) {",
       "        vmf_gate_facts(set->gate).writes_passed != 0 && !OFF) {")]),
    ("ask-libvirt", "a lost answer to Finish is a question to libvirt, not a failure",
     [("src/migrate/incoming-complete.c", "        if (!runs_here(incoming))\n            return FALSE;",
       "        if (OFF || !runs_here(incoming))\n            return FALSE;")]),
    ("stop-qemu", "the source's QEMU is stopped before a disk is given up",
     [("src/migrate/source.c", "stopped = result == VMF_PHASE_DONE && vmf_source_stop_qemu(source, error);",
       "stopped = result == VMF_PHASE_DONE && (OFF || vmf_source_stop_qemu(source, error));"),
      ("src/migrate/source-window.c", "    if (!vmf_qemu_process_wait_stopped(",
       "    if (!OFF && !vmf_qemu_process_wait_stopped("),
      ("src/migrate/source-window.c", "        vmf_qemu_process_stop(source->qemu, TRUE, NULL);",
       "        if (!OFF)\n            vmf_qemu_process_stop(source->qemu, TRUE, NULL);")]),
    ("look-at-libvirt", "libvirtd is the one of Perform when the source's QEMU is stopped",
     [("src/migrate/source-window.c", "    if (vmf_phases_is_connected(source->phases))",
       "    if (OFF || vmf_phases_is_connected(source->phases))")]),
    ("keep-sockets", "libvirt's connections outlive vmferryd", []),
    ("settle-phases", "a restarted vmferryd waits for the phase its predecessor began",
     [("src/migrate/recover.c", "    if (*phases == NULL)\n        return;",
       "    if (*phases == NULL || OFF)\n        return;")]),
    ("peer-lost", "an uncommitted destination ends with its connection",
     [("src/migrate/incoming.c", "    vmf_incoming_abort(incoming, \"its connection ended\", NULL);",
       "    if (!OFF)\n        vmf_incoming_abort(incoming, \"its connection ended\", NULL);")]),
    ("recover-asks", "a restarted destination asks the record whether it had committed",
     [("src/migrate/recover-incoming.c", "        switch (vmf_record_act(VMF_ROLE_DESTINATION, says)) {",
       "        switch (OFF && incoming->state < VMF_STATE_COMMITTED\n"
       "                    ? VMF_ACT_GIVE_UP\n"
       "                    : vmf_record_act(VMF_ROLE_DESTINATION, says)) {")]),
    ("settle-record", "a new owner writes both slots of the record, first the one no late claim hits",
     [("smb/owner-store.c", "    return store->settled ||", "    return OFF || store->settled ||"),
      ("smb/owner-store.c", "    if (next->epoch <= store->record.epoch + 1)",
       "    if (OFF || next->epoch <= store->record.epoch + 1)")]),
]


# Rules that no schedule shows alone, since another one stands behind them; and which.
BACKED = {
    "close-reply": "every write was answered before (drain), so nothing is left that could land",
    "drain": "requests go to the share one at a time, and the release waits for its turn",
}


def macro(name):
    return "SIM_RULE_" + name.upper().replace("-", "_")


def weave(root, name):
    text = (root / name).read_text()
    for rule, _, places in RULES:
        for file, old, new in places:
            if file != name:
                continue
            if text.count(old) != 1:
                # the build fails: a switch that switches nothing would be a test of nothing
                sys.exit(f"weave.py: rule '{rule}': its text is {text.count(old)} times in {name}, "
                         "not once: the code has changed, bring the table after it")
            text = text.replace(old, new.replace("OFF", f"sim_off({macro(rule)})"))
    return f'#include "sim-rules.h"\n#line 1 "{name}"\n{text}'


def rules_header():
    lines = ["#pragma once", "enum {", "    SIM_RULE_NONE,"]
    lines += [f"    {macro(rule)}," for rule, _, _ in RULES]
    lines += ["    SIM_N_RULES", "};", "#define SIM_RULES_TABLE \\"]
    lines += [f'    {{"{rule}", "{what}", "{BACKED.get(rule, "")}"}}, \\' for rule, what, _ in RULES]
    return "\n".join(lines) + "\n\n"


def main():
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    known = set(sys.argv[3:])
    for rule, _, places in RULES:
        for file, _, _ in places:
            if file not in known:
                sys.exit(f"weave.py: rule '{rule}' is in {file}, which the simulator does not compile")
    for name in sys.argv[3:]:
        (out / name.replace("/", "_")).write_text(weave(root, name))
    (out / "sim-rules.h").write_text(rules_header())


main()
