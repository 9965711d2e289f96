/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/vm/phases-move.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "src/base/error.h"
#include "src/vm/cookie.h"
#include "src/vm/domain.h"

#define WATCH_US     (20 * G_TIME_SPAN_MILLISECOND)
#define WATCH_MAX_US (60 * G_TIME_SPAN_SECOND)

PhaseOptions phase_options;

/* ---- small things ---- */

void
check(gboolean right, const char *what, GError *error)
{
    if (!right)
        g_error("%s: %s", what, error != NULL ? error->message : "no error given");
}

void
keep(const char *base, const char *data)
{
    if (phase_options.capture == NULL || data == NULL)
        return;
    g_autofree gchar *path = g_build_filename(phase_options.capture, base, NULL);
    g_file_set_contents(path, data, -1, NULL);
}

static const char *const result_names[] = {"done", "refused", "unknown"};

static VmfPhaseResult
said(const char *phase, gint64 since, VmfPhaseResult result, VmfPhases *phases, GError *error)
{
    double ms = (double)(g_get_monotonic_time() - since) / 1000;
    if (!phase_options.quiet)
        g_print("  %-18s %-8s %8.1f ms %3d %s\n", phase, result_names[result], ms,
                vmf_phases_last_code(phases), error != NULL ? error->message : "");
    return result;
}

VmfPhases *
side_open(Side *side)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *path = g_build_filename(side->root, SOCKET, NULL);
    VmfPhases *phases = vmf_phases_open(path, &error);
    check(phases != NULL, "open", error);
    return phases;
}

void
on_event(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data)
{
    if (event == VMF_EVENT_SUSPENDED || event == VMF_EVENT_RESUMED)
        *(gint64 *)data = monotonic_us;
}

void
on_stopped(const char *uuid, VmfVmEvent event, gint64 monotonic_us, gpointer data)
{
    if (event == VMF_EVENT_STOPPED)
        g_atomic_int_inc((gint *)data);
}

/* ---- the phases, each with what stands between two hosts ---- */

VmfPhaseResult
move_begin(Move *move)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    g_autofree gchar *xml = NULL;
    gint64 since = g_get_monotonic_time();
    VmfPhaseResult result = said(
        "begin", since, vmf_phases_begin(move->source.phases, &move->params, &cookie, &xml, &error),
        move->source.phases, error);
    if (result != VMF_PHASE_DONE)
        return result;
    VmfDomainRules rules = {.run_dir = "/run/vmferry",
                            .boot_files = (const char *const *)phase_options.boot_files,
                            .uuid = move->uuid,
                            .name = move->name};
    keep("begin.cookie", g_bytes_get_data(cookie, NULL));
    keep("begin.xml", xml);
    since = g_get_monotonic_time();
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild(xml, strlen(xml), &rules, &error);
    check(domain != NULL, "rebuild", error);
    g_autofree gchar *emulator = vmf_host_emulator(move->destination.host, vmf_domain_type(domain),
                                                   vmf_domain_arch(domain),
                                                   vmf_domain_machine(domain), &error);
    check(emulator != NULL, "emulator", error);
    rules.emulator = emulator;
    g_autoptr(VmfDomain) local = vmf_domain_rebuild(xml, strlen(xml), &rules, &error);
    check(local != NULL, "rebuild", error);
    move->xml = vmf_domain_to_xml(local);
    move->begun = vmf_cookie_rebuild(VMF_COOKIE_BEGIN, cookie, move->uuid, move->name, &error);
    check(move->begun != NULL, "begin's cookie", error);
    return said("rebuild", since, result, move->source.phases, NULL);
}

VmfPhaseResult
move_prepare(Move *move)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    gint64 since = g_get_monotonic_time();
    VmfPhaseResult result = said("prepare", since,
                                 vmf_phases_prepare(move->destination.phases, &move->params,
                                                    move->uri_in, move->xml, move->begun, &cookie,
                                                    &error),
                                 move->destination.phases, error);
    if (result == VMF_PHASE_DONE) {
        keep("prepare.cookie", g_bytes_get_data(cookie, NULL));
        move->prepared = vmf_cookie_rebuild(VMF_COOKIE_PREPARE, cookie, move->uuid, move->name,
                                            &error);
        check(move->prepared != NULL, "prepare's cookie", error);
    }
    return result;
}

VmfPhaseResult
move_perform(Move *move)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    gint64 since = g_get_monotonic_time();
    VmfPhaseResult result = said("perform", since,
                                 vmf_phases_perform(move->source.phases, &move->params,
                                                    move->uri_out, move->prepared, &cookie, &error),
                                 move->source.phases, error);
    if (result == VMF_PHASE_DONE) {
        keep("perform.cookie", g_bytes_get_data(cookie, NULL));
        move->performed = vmf_cookie_rebuild(VMF_COOKIE_PERFORM, cookie, move->uuid, move->name,
                                             &error);
        check(move->performed != NULL, "perform's cookie", error);
    }
    return result;
}

VmfPhaseResult
move_finish(Move *move, gboolean cancelled)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) cookie = NULL;
    gint64 since = g_get_monotonic_time();
    VmfPhaseResult result = said(cancelled ? "finish cancelled" : "finish", since,
                                 vmf_phases_finish(move->destination.phases, &move->params,
                                                   move->performed, cancelled, &cookie, &error),
                                 move->destination.phases, error);
    if (result == VMF_PHASE_DONE && !cancelled) {
        keep("finish.cookie", g_bytes_get_data(cookie, NULL));
        move->finished = vmf_cookie_rebuild(VMF_COOKIE_FINISH, cookie, move->uuid, move->name,
                                            &error);
        check(move->finished != NULL, "finish's cookie", error);
    }
    return result;
}

VmfPhaseResult
move_confirm(Move *move, gboolean cancelled)
{
    g_autoptr(GError) error = NULL;
    gint64 since = g_get_monotonic_time();
    return said(cancelled ? "confirm cancelled" : "confirm", since,
                vmf_phases_confirm(move->source.phases, &move->params,
                                   cancelled ? NULL : move->finished, cancelled, &error),
                move->source.phases, error);
}

void
move_define(Move *move)
{
    g_autoptr(GError) error = NULL;
    gint64 since = g_get_monotonic_time();
    check(vmf_host_define(move->destination.host, move->portable, NULL, &error), "define", error);
    said("define", since, VMF_PHASE_DONE, move->destination.phases, NULL);
}

void
must(VmfPhaseResult result, VmfPhaseResult wanted, const char *phase)
{
    if (result != wanted)
        g_error("%s ended as '%s', not as '%s'", phase, result_names[result], result_names[wanted]);
}

/* ---- losing connections ---- */

void
side_go_deaf(Side *side)
{
    int copy = vmf_phases_dup_fd(side->phases, NULL);
    shutdown(copy, SHUT_RD);
    close(copy);
}

void
side_lose(Side *side)
{
    g_clear_pointer(&side->phases, vmf_phases_free);
}

void
side_lose_and_open(Side *side)
{
    side_lose(side);
    side->phases = side_open(side);
}

void
side_adopt(Side *side)
{
    g_autoptr(GError) error = NULL;
    int copy = vmf_phases_dup_fd(side->phases, &error);
    side_lose(side);
    side->phases = vmf_phases_adopt(copy, &error);
    check(side->phases != NULL, "adopt", error);
}

void
move_watch(Move *move, Judge judge, const char *what)
{
    gint64 until = g_get_monotonic_time() + WATCH_MAX_US;
    GMutex lock;
    GCond never;
    g_mutex_init(&lock);
    g_cond_init(&never);
    g_mutex_lock(&lock);
    while (!judge(move)) {
        if (g_get_monotonic_time() > until)
            g_error("waited in vain: %s", what);
        g_cond_wait_until(&never, &lock, g_get_monotonic_time() + WATCH_US);
    }
    g_mutex_unlock(&lock);
}

gboolean
is_copying(Move *move)
{
    VmfJobProgress progress;
    return vmf_host_job_progress(move->source.host, move->uuid, &progress, NULL) &&
           progress.stage == VMF_JOB_MEMORY;
}

void
side_wait_for_phase(Side *side, const char *name, VmfLibvirtPhase wanted)
{
    g_autoptr(GError) error = NULL;
    VmfLibvirtPhase phase;
    g_autofree gchar *folder = g_build_filename(side->root, "run/libvirt/qemu", NULL);
    check(vmf_phase_file_wait(folder, name, WATCH_MAX_US / 1000, &phase, &error), "phase", error);
    g_assert_cmpint(phase, ==, wanted);
}

static VmfVmState
state_on(Side *side, const char *uuid)
{
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(side->host, uuid, NULL);
    return info != NULL ? info->state : VMF_VM_OFF;
}

gboolean
source_waits(Move *move)
{
    return state_on(&move->source, move->uuid) == VMF_VM_PAUSED_MIGRATION;
}

gboolean
source_runs(Move *move)
{
    return state_on(&move->source, move->uuid) == VMF_VM_RUNNING;
}

gboolean
source_is_gone(Move *move)
{
    return state_on(&move->source, move->uuid) == VMF_VM_OFF;
}

gboolean
destination_is_gone(Move *move)
{
    return state_on(&move->destination, move->uuid) == VMF_VM_OFF;
}

gboolean
destination_was_destroyed(Move *move)
{
    return g_atomic_int_get(&move->stopped) > 0 && destination_is_gone(move);
}

gboolean
destination_runs(Move *move)
{
    return state_on(&move->destination, move->uuid) == VMF_VM_RUNNING;
}

gboolean
destination_has_settled(Move *move)
{
    return destination_runs(move) || destination_is_gone(move);
}
