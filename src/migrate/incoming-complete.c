/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/incoming-private.h"

#include <string.h>

#include "src/base/error.h"
#include "src/base/fault-point.h"

/*
 * After the point of no return: the owner record names this host, and this thread alone carries on,
 * whatever becomes of the source.
 */

#define ANNOUNCE_WAIT_MS 5000
#define RETRY_LARGEST_MS 5000

/* libvirtd's answer was lost: its domain says whether the guest came to run. */
static gboolean
runs_here(VmfIncoming *incoming)
{
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfVmInfo)
            info = vmf_host_lookup(incoming->context->host, incoming->uuid, &error);
        if (info && info->state == VMF_VM_RUNNING)
            return TRUE;
        if (info && (info->state == VMF_VM_OFF || info->state == VMF_VM_CRASHED))
            return FALSE;
        if (info == NULL && g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG))
            return FALSE;
        g_message("'%s': waiting for libvirt to say whether it runs: %s", incoming->name,
                  error ? error->message : vmf_vm_state_name(info->state));
        g_usleep((gulong)wait_ms * 1000);
    }
}

static gboolean
finish(VmfIncoming *incoming, GError **error)
{
    GBytes *cookie = NULL;
    if (incoming->phases == NULL) /* after a restart, with libvirt's connection gone too */
        return runs_here(incoming);
    switch (vmf_phases_finish(incoming->phases, &incoming->params, incoming->perform_cookie, FALSE,
                              &cookie, error)) {
    case VMF_PHASE_DONE:
        incoming->finish_cookie = cookie;
        return TRUE;
    case VMF_PHASE_REFUSED:
        return FALSE;
    case VMF_PHASE_UNKNOWN:
        if (!runs_here(incoming))
            return FALSE;
        g_clear_error(error);
        return TRUE;
    }
    g_assert_not_reached();
}

/* The definition stays here, and a copy lies on the share for whoever must recover the VM. */
static void
keep_definition(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *xml = incoming->domain
                                ? vmf_domain_to_xml(incoming->domain)
                                : vmf_host_dump_xml(incoming->context->host, incoming->uuid,
                                                    VMF_XML_PORTABLE, &error);
    if (xml == NULL) {
        g_warning("'%s': its definition could not be read: %s", incoming->name, error->message);
        return;
    }
    if (incoming->persistent && !vmf_host_define(incoming->context->host, xml, NULL, &error)) {
        g_warning("'%s' runs here, but its definition could not be kept: %s", incoming->name,
                  error->message);
        g_clear_error(&error);
    }
    if (incoming->persistent && incoming->autostart &&
        !vmf_host_set_autostart(incoming->context->host, incoming->uuid, TRUE, &error)) {
        g_warning("'%s' will not start with this host: %s", incoming->name, error->message);
        g_clear_error(&error);
    }
    if (!vmf_disk_client_write_file(incoming->disks, "domain.xml", xml, &error))
        g_warning("'%s': %s", incoming->name, error->message);
}

static void
set_flag(VmfIncoming *incoming, gboolean *flag)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    *flag = TRUE;
    g_cond_broadcast(&incoming->changed);
}

static void
succeed(VmfIncoming *incoming)
{
    g_autoptr(GError) error = NULL;
    set_flag(incoming, &incoming->running);
    vmf_fault_point("destination.resume.end");
    keep_definition(incoming);
    if (!vmf_incoming_enter(incoming, VMF_STATE_RUNNING, &error))
        g_warning("%s", error->message);
    g_clear_error(&error);
    vmf_fault_point("destination.network.start");
    set_flag(incoming, &incoming->finished);
    if (incoming->announce &&
        !vmf_announce_wait(incoming->announce, ANNOUNCE_WAIT_MS, NULL, &error))
        incoming->announce_error = g_steal_pointer(&error);
    set_flag(incoming, &incoming->announced);
}

/* Untouched disks go back to the source with the guest's memory; touched ones cannot. */
static VmfState
return_disks(VmfIncoming *incoming, GError **why)
{
    VmfOwnerNext next = {
        .epoch = incoming->epoch + 2,
        .state = VMF_OWNER_RETURNED,
        .migration_id = incoming->migration,
        .reason = "could not run here",
        .owner_sid = incoming->peer_sid,
        .owner_account = incoming->peer_fqdn,
    };
    for (guint wait_ms = 100;; wait_ms = MIN(wait_ms * 2, RETRY_LARGEST_MS)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfDiskState) disks = vmf_disk_client_describe(incoming->disks, &error);
        if (disks && disks->written_since_open > 0) {
            g_prefix_error(why, "the guest ended after it had written: ");
            return VMF_STATE_DOWN;
        }
        if (disks && vmf_disk_client_release(incoming->disks, &next, NULL, &error))
            return VMF_STATE_RETURNED;
        if (g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG)) {
            /* A write has passed the gate, though it was not answered. */
            g_prefix_error(why, "%s: ", error->message);
            return VMF_STATE_DOWN;
        }
        g_message("'%s': giving it back to %s: %s", incoming->name, incoming->peer_fqdn,
                  error->message);
        g_usleep((gulong)wait_ms * 1000);
    }
}

static void
fail(VmfIncoming *incoming, GError *why)
{
    g_autoptr(GError) error = NULL;
    if (why == NULL)
        why = g_error_new(VMF_ERROR, VMF_ERROR_INTERNAL, "the guest did not come to run on %s",
                          incoming->context->me->fqdn);
    VmfState end = return_disks(incoming, &why);
    g_warning("'%s' could not run here (%s): %s", incoming->name, vmf_state_name(end),
              why->message);
    if (end == VMF_STATE_DOWN) {
        VmfOwnerNext stopped = {.epoch = incoming->epoch + 1,
                                .state = VMF_OWNER_STOPPED,
                                .reason = "ended at the end of a move"};
        vmf_disk_client_release(incoming->disks, &stopped, NULL, NULL);
    }
    vmf_disk_client_quit(incoming->disks, NULL);
    if (!vmf_incoming_enter(incoming, end, &error))
        g_warning("%s", error->message);
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&incoming->lock);
    incoming->failure = why;
    g_cond_broadcast(&incoming->changed);
}

gpointer
vmf_incoming_complete(gpointer data)
{
    g_autoptr(VmfIncoming) incoming = data;
    g_autoptr(GError) error = NULL;
    vmf_fault_point("destination.resume.start");
    if (finish(incoming, &error)) {
        vmf_fault_point("destination.resume.middle");
        succeed(incoming);
        vmf_disk_client_drop_socket(incoming->disks, incoming->migration, NULL);
    } else {
        fail(incoming, g_steal_pointer(&error));
    }
    vmf_incoming_unsubscribe(incoming);
    /* The object is remembered for a source that asks late; a megabyte of buffers is not. */
    g_mutex_lock(&incoming->lock);
    VmfMemoryStream *memory = g_steal_pointer(&incoming->memory);
    g_mutex_unlock(&incoming->lock);
    vmf_memory_stream_free(memory);
    return NULL;
}
