/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Moves a real guest between two libvirtds with the phases API, and measures each phase.
 *
 *   phases-tool [OPTION…] SOURCE-ROOT DESTINATION-ROOT VM
 *
 * The roots are the two hosts' root folders as this process sees them: "/proc/PID/root" of a
 * process in a container does. The VM's disks are reachable on both hosts by somebody else's care
 * (one writer at a time is not this tool's business: it moves CPUs and memory). The memory stream
 * is relayed between /run/vmferry/mig/libvirt-UUID.out on the source and …/libvirt-UUID/in on the destination.
 *
 * A scenario says what goes wrong and what has to be true in the end; the exit status is 0 only
 * when every asked-for scenario ended as it has to.
 */
#include <string.h>

#include <gio/gio.h>

#include "src/base/error.h"
#include "src/vm/domain.h"
#include "tests/unit/vm/phases-move.h"

static gchar **option_scenarios;
static gint option_repeat = 1, option_parallel, option_bandwidth, option_downtime;
static gboolean option_auto_converge;

static const GOptionEntry options[] = {
    {"scenario", 's', 0, G_OPTION_ARG_STRING_ARRAY, &option_scenarios, "default: move", "NAME"},
    {"boot-file", 0, 0, G_OPTION_ARG_STRING_ARRAY, &phase_options.boot_files, "permitted", "PATH"},
    {"capture", 0, 0, G_OPTION_ARG_FILENAME, &phase_options.capture, "keep cookies and XML",
     "FOLDER"},
    {"repeat", 'n', 0, G_OPTION_ARG_INT, &option_repeat, "moves, there and back", "N"},
    {"parallel", 'p', 0, G_OPTION_ARG_INT, &option_parallel, "memory connections", "N"},
    {"bandwidth", 'b', 0, G_OPTION_ARG_INT, &option_bandwidth, "MiB/s", "N"},
    {"max-downtime", 'd', 0, G_OPTION_ARG_INT, &option_downtime, "while it copies", "MS"},
    {"auto-converge", 0, 0, G_OPTION_ARG_NONE, &option_auto_converge, "slow the guest", NULL},
    {"quiet", 'q', 0, G_OPTION_ARG_NONE, &phase_options.quiet, "no line per phase", NULL},
    {NULL},
};

/* ---- scenarios ---- */

static void
up_to_prepare(Move *move)
{
    must(move_begin(move), VMF_PHASE_DONE, "begin");
    must(move_prepare(move), VMF_PHASE_DONE, "prepare");
}

static void
up_to_perform(Move *move)
{
    up_to_prepare(move);
    must(move_perform(move), VMF_PHASE_DONE, "perform");
}

static gpointer
set_downtime(gpointer data)
{
    g_autoptr(GError) error = NULL;
    Move *move = data;
    move_watch(move, is_copying, "the copy has begun");
    gboolean set = vmf_host_set_max_downtime(move->source.host, move->uuid,
                                             (guint64)option_downtime, &error);
    g_print("  max-downtime %d ms: %s\n", option_downtime, set ? "set" : error->message);
    return NULL;
}

static void
scenario_move(Move *move)
{
    up_to_prepare(move);
    GThread *setter = option_downtime > 0 ? g_thread_new("downtime", set_downtime, move) : NULL;
    must(move_perform(move), VMF_PHASE_DONE, "perform");
    if (setter != NULL)
        g_thread_join(setter);
    must(move_finish(move, FALSE), VMF_PHASE_DONE, "finish");
    move_define(move);
    must(move_confirm(move, FALSE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_cancel_after_begin(Move *move)
{
    must(move_begin(move), VMF_PHASE_DONE, "begin");
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_cancel_after_prepare(Move *move)
{
    up_to_prepare(move);
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    g_assert_cmpint(vmf_phases_last_code(move->destination.phases), ==,
                    VMF_LIBVIRT_MIGRATE_FINISH_OK);
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_cancel_after_perform(Move *move)
{
    up_to_perform(move);
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    g_assert_cmpint(vmf_phases_last_code(move->destination.phases), ==,
                    VMF_LIBVIRT_MIGRATE_FINISH_OK);
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish again");
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static gpointer
abort_copy(gpointer data)
{
    g_autoptr(GError) error = NULL;
    Move *move = data;
    move_watch(move, is_copying, "the copy has begun");
    check(vmf_host_abort_job(move->source.host, move->uuid, &error), "abort", error);
    return NULL;
}

static void
scenario_abort(Move *move)
{
    move->params.bandwidth_mib = 2;
    up_to_prepare(move);
    GThread *aborter = g_thread_new("abort", abort_copy, move);
    must(move_perform(move), VMF_PHASE_REFUSED, "perform");
    g_assert_cmpint(vmf_phases_last_code(move->source.phases), ==, VMF_LIBVIRT_OPERATION_ABORTED);
    g_thread_join(aborter);
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
}

static void
scenario_adopt(Move *move)
{
    up_to_prepare(move);
    side_adopt(&move->source);
    side_adopt(&move->destination);
    must(move_perform(move), VMF_PHASE_DONE, "perform");
    side_adopt(&move->source);
    side_adopt(&move->destination);
    must(move_finish(move, FALSE), VMF_PHASE_DONE, "finish");
    move_define(move);
    must(move_confirm(move, FALSE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_lost_source_after_begin(Move *move)
{
    must(move_begin(move), VMF_PHASE_DONE, "begin");
    side_lose_and_open(&move->source);
    must(move_confirm(move, TRUE), VMF_PHASE_REFUSED, "confirm");
}

static void
scenario_lost_in_prepare(Move *move)
{
    must(move_begin(move), VMF_PHASE_DONE, "begin");
    side_go_deaf(&move->destination);
    must(move_prepare(move), VMF_PHASE_UNKNOWN, "prepare");
    side_lose_and_open(&move->destination);
    move_watch(move, destination_was_destroyed, "the prepared destination is destroyed");
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_lost_destination_after_prepare(Move *move)
{
    up_to_prepare(move);
    side_lose_and_open(&move->destination);
    move_watch(move, destination_is_gone, "the prepared destination is destroyed");
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_lost_in_perform(Move *move)
{
    move->params.bandwidth_mib = 20;
    up_to_prepare(move);
    side_go_deaf(&move->source);
    must(move_perform(move), VMF_PHASE_UNKNOWN, "perform");
    side_lose_and_open(&move->source);
    move_watch(move, is_copying, "libvirtd goes on alone");
    g_autoptr(GError) error = NULL;
    check(vmf_host_abort_job(move->source.host, move->uuid, &error), "abort", error);
    side_wait_for_phase(&move->source, move->name, VMF_LIBVIRT_IDLE);
    g_assert_true(source_runs(move));
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    must(move_confirm(move, TRUE), VMF_PHASE_REFUSED, "confirm");
}

static void
scenario_lost_source_after_perform(Move *move)
{
    g_autoptr(GError) error = NULL;
    up_to_perform(move);
    side_lose_and_open(&move->source);
    must(move_confirm(move, TRUE), VMF_PHASE_REFUSED, "confirm");
    move_watch(move, source_waits, "the source waits, paused (migrating)");
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    check(vmf_host_resume(move->source.host, move->uuid, &error), "resume", error);
}

static void
scenario_lost_destination_after_perform(Move *move)
{
    up_to_perform(move);
    side_lose_and_open(&move->destination);
    move_watch(move, destination_is_gone, "the destination is destroyed");
    must(move_finish(move, TRUE), VMF_PHASE_DONE, "finish");
    must(move_confirm(move, TRUE), VMF_PHASE_DONE, "confirm");
}

static void
scenario_lost_in_finish(Move *move)
{
    up_to_perform(move);
    side_go_deaf(&move->destination);
    must(move_finish(move, FALSE), VMF_PHASE_UNKNOWN, "finish");
    side_lose_and_open(&move->destination);
    move_watch(move, destination_has_settled, "the destination runs or is gone");
    gboolean runs = destination_runs(move);
    g_print("  a lost reply of finish: the destination %s\n", runs ? "runs" : "is gone");
    if (runs)
        move_define(move);
    must(move_confirm(move, !runs), VMF_PHASE_DONE, "confirm");
}

static void
scenario_lost_in_confirm(Move *move)
{
    up_to_perform(move);
    must(move_finish(move, FALSE), VMF_PHASE_DONE, "finish");
    move_define(move);
    side_go_deaf(&move->source);
    must(move_confirm(move, FALSE), VMF_PHASE_UNKNOWN, "confirm");
    side_lose_and_open(&move->source);
    move_watch(move, source_is_gone, "the source is gone");
}

typedef struct {
    GCancellable *cancellable;
    Move *move;
} Impatience;

static gpointer
end_wait(gpointer data)
{
    Impatience *impatience = data;
    move_watch(impatience->move, is_copying, "the copy has begun");
    g_cancellable_cancel(impatience->cancellable);
    return NULL;
}

/* The first coordinator ends while memory is copied; its successor has the sockets, not the cookie. */
static void
scenario_successor(Move *move)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    Impatience impatience = {cancellable, move};
    move->params.bandwidth_mib = 50;
    up_to_prepare(move);
    int copy = vmf_phases_dup_fd(move->source.phases, &error);
    vmf_phases_set_cancellable(move->source.phases, cancellable);
    GThread *thread = g_thread_new("end-wait", end_wait, &impatience);
    must(move_perform(move), VMF_PHASE_UNKNOWN, "perform");
    g_thread_join(thread);
    side_lose(&move->source);
    move->source.phases = vmf_phases_adopt(copy, &error);
    check(move->source.phases != NULL, "adopt", error);
    side_adopt(&move->destination);
    side_wait_for_phase(&move->source, move->name, VMF_LIBVIRT_PERFORMED);
    must(move_finish(move, FALSE), VMF_PHASE_DONE, "finish");
    move_define(move);
    must(move_confirm(move, FALSE), VMF_PHASE_DONE, "confirm");
}

typedef enum { SOURCE, DESTINATION, EITHER } Where;

static const struct {
    const char *name;
    void (*run)(Move *move);
    Where runs_on; /* in the end */
} scenarios[] = {
    {"move", scenario_move, DESTINATION},
    {"adopt", scenario_adopt, DESTINATION},
    {"successor", scenario_successor, DESTINATION},
    {"cancel-after-begin", scenario_cancel_after_begin, SOURCE},
    {"cancel-after-prepare", scenario_cancel_after_prepare, SOURCE},
    {"cancel-after-perform", scenario_cancel_after_perform, SOURCE},
    {"abort", scenario_abort, SOURCE},
    {"lost-source-after-begin", scenario_lost_source_after_begin, SOURCE},
    {"lost-in-prepare", scenario_lost_in_prepare, SOURCE},
    {"lost-destination-after-prepare", scenario_lost_destination_after_prepare, SOURCE},
    {"lost-in-perform", scenario_lost_in_perform, SOURCE},
    {"lost-source-after-perform", scenario_lost_source_after_perform, SOURCE},
    {"lost-destination-after-perform", scenario_lost_destination_after_perform, SOURCE},
    {"lost-in-finish", scenario_lost_in_finish, EITHER},
    {"lost-in-confirm", scenario_lost_in_confirm, DESTINATION},
};

/* ---- a whole move ---- */

static gchar *
rebuilt_portable(Move *move)
{
    g_autoptr(GError) error = NULL;
    const VmfDomainRules rules = {.run_dir = "/run/vmferry",
                                  .boot_files = (const char *const *)phase_options.boot_files,
                                  .uuid = move->uuid,
                                  .name = move->name};
    g_autofree gchar *xml = vmf_host_dump_xml(move->source.host, move->uuid, VMF_XML_PORTABLE,
                                              &error);
    check(xml != NULL, "dump", error);
    g_autoptr(VmfDomain) domain = vmf_domain_rebuild(xml, strlen(xml), &rules, &error);
    check(domain != NULL, "rebuild the portable definition", error);
    return vmf_domain_to_xml(domain);
}

static Move *
move_new(VmfHost *hosts[2], char *roots[2], const char *vm, guint from)
{
    g_autoptr(GError) error = NULL;
    Move *move = g_new0(Move, 1);
    move->source = (Side){.root = g_strdup(roots[from]), .host = hosts[from]};
    move->destination = (Side){.root = g_strdup(roots[1 - from]), .host = hosts[1 - from]};
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(move->source.host, vm, &error);
    check(info != NULL && info->state == VMF_VM_RUNNING, "look up a running VM", error);
    move->uuid = g_strdup(info->uuid);
    move->name = g_strdup(info->name);
    move->params = (VmfPhaseParams){.uuid = move->uuid,
                                    .name = move->name,
                                    .parallel = (guint)option_parallel,
                                    .auto_converge = option_auto_converge,
                                    .bandwidth_mib = (guint64)option_bandwidth};
    move->portable = rebuilt_portable(move);
    keep("portable.xml", move->portable);
    g_autofree gchar *folder = g_strdup_printf("/run/vmferry/mig/libvirt-%s", move->uuid);
    g_autofree gchar *from_path = g_strconcat(move->source.root, folder, ".out", NULL);
    g_autofree gchar *to_path = g_strconcat(move->destination.root, folder, "/in", NULL);
    move->uri_out = g_strdup_printf("unix://%s.out", folder);
    move->uri_in = g_strdup_printf("unix://%s/in", folder);
    unlink(to_path);
    move->relay = relay_start(from_path, to_path);
    move->source.phases = side_open(&move->source);
    move->destination.phases = side_open(&move->destination);
    move->subscriptions[0] = vmf_host_subscribe(move->source.host, move->uuid, on_event,
                                                &move->suspended_us, NULL);
    move->subscriptions[2] = vmf_host_subscribe(move->destination.host, move->uuid, on_stopped,
                                                &move->stopped, NULL);
    move->subscriptions[1] = vmf_host_subscribe(move->destination.host, move->uuid, on_event,
                                                &move->resumed_us, NULL);
    return move;
}

static void
move_free(Move *move)
{
    vmf_host_unsubscribe(move->source.host, move->subscriptions[0]);
    vmf_host_unsubscribe(move->destination.host, move->subscriptions[1]);
    vmf_host_unsubscribe(move->destination.host, move->subscriptions[2]);
    vmf_phases_free(move->source.phases);
    vmf_phases_free(move->destination.phases);
    relay_stop(move->relay);
    g_free(move->source.root);
    g_free(move->destination.root);
    g_clear_pointer(&move->begun, g_bytes_unref);
    g_clear_pointer(&move->prepared, g_bytes_unref);
    g_clear_pointer(&move->performed, g_bytes_unref);
    g_clear_pointer(&move->finished, g_bytes_unref);
    g_free(move->uuid);
    g_free(move->name);
    g_free(move->portable);
    g_free(move->uri_out);
    g_free(move->uri_in);
    g_free(move->xml);
    g_free(move);
}

/* Where does it run, and is it defined there and nowhere else? */
static gboolean
ended_well(Move *move, Where wanted, Where *runs_on)
{
    g_autoptr(VmfVmInfo) at_source = vmf_host_lookup(move->source.host, move->uuid, NULL);
    g_autoptr(VmfVmInfo) at_destination = vmf_host_lookup(move->destination.host, move->uuid, NULL);
    *runs_on = at_source != NULL ? SOURCE : DESTINATION;
    const VmfVmInfo *here = at_source != NULL ? at_source : at_destination;
    if ((at_source != NULL && at_destination != NULL) || here == NULL ||
        here->state != VMF_VM_RUNNING || !here->persistent) {
        g_print("  FAIL: source %s, destination %s\n",
                at_source != NULL ? vmf_vm_state_name(at_source->state) : "none",
                at_destination != NULL ? vmf_vm_state_name(at_destination->state) : "none");
        return FALSE;
    }
    if (wanted != EITHER && *runs_on != wanted)
        g_print("  FAIL: it runs on the %s\n", *runs_on == SOURCE ? "source" : "destination");
    return wanted == EITHER || *runs_on == wanted;
}

static gboolean
run_one(const char *name, VmfHost *hosts[2], char *roots[2], const char *vm, guint *from)
{
    for (gsize i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) != 0)
            continue;
        Where runs_on;
        gint64 since = g_get_monotonic_time();
        Move *move = move_new(hosts, roots, vm, *from);
        g_print("%s\n", name);
        scenarios[i].run(move);
        gboolean well = ended_well(move, scenarios[i].runs_on, &runs_on);
        g_print("  = %s on %s, %.1f ms, %" G_GUINT64_FORMAT " bytes", well ? "ok" : "NOT ok",
                runs_on == SOURCE ? "source" : "destination",
                (double)(g_get_monotonic_time() - since) / 1000, relay_bytes(move->relay));
        if (move->suspended_us != 0 && move->resumed_us != 0)
            g_print(", paused %.1f ms by the events",
                    (double)(move->resumed_us - move->suspended_us) / 1000);
        g_print("\n");
        if (runs_on == DESTINATION)
            *from = 1 - *from;
        move_free(move);
        return well;
    }
    g_error("no scenario '%s'", name);
}

typedef struct {
    char **arguments;
    GMainLoop *loop;
    int status;
} Run;

static gpointer
run_all(gpointer data)
{
    Run *run = data;
    static const char *const only_move[] = {"move", NULL};
    const char *const *names = option_scenarios != NULL ? (const char *const *)option_scenarios
                                                        : only_move;
    char *roots[2] = {run->arguments[1], run->arguments[2]};
    VmfHost *hosts[2];
    for (guint i = 0; i < 2; i++) {
        g_autofree gchar *uri = g_strdup_printf("qemu+unix:///system?socket=%s/" SOCKET, roots[i]);
        hosts[i] = vmf_host_new(uri);
    }
    guint from = 0;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(hosts[0], run->arguments[3], NULL);
    if (info == NULL || info->state == VMF_VM_OFF)
        from = 1;
    run->status = 0;
    for (int i = 0; i < option_repeat; i++) {
        for (guint j = 0; names[j] != NULL; j++) {
            if (!run_one(names[j], hosts, roots, run->arguments[3], &from))
                run->status = 1;
        }
    }
    vmf_host_unref(hosts[0]);
    vmf_host_unref(hosts[1]);
    g_main_loop_quit(run->loop);
    return NULL;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new("SOURCE-ROOT DESTINATION-ROOT VM");
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 4) {
        g_printerr("%s\n", error != NULL ? error->message : "three arguments are needed");
        return 2;
    }
    Run run = {.arguments = argv, .loop = g_main_loop_new(NULL, FALSE)};
    GThread *thread = g_thread_new("scenarios", run_all, &run);
    g_main_loop_run(run.loop);
    g_thread_join(thread);
    g_main_loop_unref(run.loop);
    return run.status;
}
