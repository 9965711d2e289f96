/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/host-private.h"

#include <stdlib.h>
#include <string.h>

#include <libvirt-glib/libvirt-glib.h>
#include <libvirt/virterror.h>

#include "src/base/error.h"
#include "src/vm/libvirt-error.h"

#define DEFAULT_URI "qemu:///system"

/* libvirt prints errors to stderr by default; ours are returned. */
static void
say_nothing(void *data, virErrorPtr error)
{
}

static gpointer
prepare_library(gpointer unused)
{
    virSetErrorFunc(NULL, say_nothing);
    gvir_event_register();
    return NULL;
}

VmfHost *
vmf_host_new(const char *uri)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, prepare_library, NULL);
    VmfHost *host = g_new0(VmfHost, 1);
    g_atomic_ref_count_init(&host->references);
    host->uri = g_strdup(uri != NULL ? uri : DEFAULT_URI);
    g_mutex_init(&host->state);
    g_mutex_init(&host->memory);
    host->remembered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_cond_init(&host->changed);
    g_rec_mutex_init(&host->dispatch);
    host->subscribers = g_ptr_array_new();
    return host;
}

VmfHost *
vmf_host_ref(VmfHost *host)
{
    g_atomic_ref_count_inc(&host->references);
    return host;
}

void
vmf_host_unref(VmfHost *host)
{
    if (host == NULL || !g_atomic_ref_count_dec(&host->references))
        return;
    g_mutex_lock(&host->state);
    host->closing = TRUE;
    g_cond_broadcast(&host->changed);
    GThread *returner = g_steal_pointer(&host->returner);
    g_mutex_unlock(&host->state);
    if (returner != NULL)
        g_thread_join(returner);
    if (host->conn != NULL) {
        vmf_host_events_detach(host->conn, host->event_id);
        virConnectClose(host->conn);
    }
    vmf_host_events_free(host);
    g_ptr_array_unref(host->subscribers);
    g_rec_mutex_clear(&host->dispatch);
    g_cond_clear(&host->changed);
    g_mutex_clear(&host->state);
    g_mutex_clear(&host->memory);
    g_hash_table_unref(host->remembered);
    g_free(host->uri);
    g_free(host);
}

/* ---- the connection ---- */

static virConnect *
current(VmfHost *host)
{
    virConnectPtr stale = NULL;
    int stale_id = 0;
    g_mutex_lock(&host->state);
    if (host->conn != NULL && virConnectIsAlive(host->conn) == 0) {
        stale = g_steal_pointer(&host->conn);
        stale_id = host->event_id;
    }
    virConnectPtr conn = host->conn;
    if (conn != NULL)
        virConnectRef(conn);
    g_mutex_unlock(&host->state);
    if (stale != NULL) {
        vmf_host_events_detach(stale, stale_id);
        virConnectClose(stale);
    }
    return conn;
}

/* Another thread may have been faster: then its connection is used. */
static virConnect *
install(VmfHost *host, virConnect *fresh, int event_id)
{
    g_mutex_lock(&host->state);
    gboolean late = host->conn != NULL;
    if (!late) {
        host->conn = fresh;
        host->event_id = event_id;
    }
    virConnectPtr conn = host->conn;
    virConnectRef(conn);
    g_mutex_unlock(&host->state);
    if (late) {
        vmf_host_events_detach(fresh, event_id);
        virConnectClose(fresh);
    }
    return conn;
}

virConnect *
vmf_host_connection(VmfHost *host, GError **error)
{
    virConnect *conn = current(host);
    if (conn != NULL)
        return conn;
    virConnectPtr fresh = virConnectOpen(host->uri);
    if (fresh == NULL) {
        vmf_libvirt_set_error(error, "cannot connect to libvirtd ('%s'); is it running?",
                              host->uri);
        return NULL;
    }
    int event_id;
    if (!vmf_host_events_attach(host, fresh, &event_id, error)) {
        virConnectClose(fresh);
        return NULL;
    }
    return install(host, fresh, event_id);
}

static gchar *
recall(VmfHost *host, virConnect *conn, const char *question)
{
    g_mutex_lock(&host->memory);
    if (host->of != conn)
        g_hash_table_remove_all(host->remembered);
    host->of = conn;
    gchar *answer = g_strdup(g_hash_table_lookup(host->remembered, question));
    g_mutex_unlock(&host->memory);
    return answer;
}

gchar *
vmf_host_remembered(VmfHost *host, virConnect *conn, const char *question,
                    char *(*ask)(virConnect *conn, gconstpointer data), gconstpointer data,
                    GError **error)
{
    gchar *answer = recall(host, conn, question);
    if (answer != NULL)
        return answer;
    char *fresh = ask(conn, data);
    if (fresh == NULL) {
        vmf_libvirt_set_error(error, "libvirt does not tell its %s", question);
        return NULL;
    }
    answer = g_strdup(fresh);
    free(fresh);
    g_mutex_lock(&host->memory);
    if (host->of == conn)
        g_hash_table_replace(host->remembered, g_strdup(question), g_strdup(answer));
    g_mutex_unlock(&host->memory);
    return answer;
}

/* @absent: (out): libvirt answered, and knows no such domain. Cleaning up forgets libvirt's error. */
static virDomain *
look_up(VmfHost *host, const char *uuid_or_name, gboolean *absent, GError **error)
{
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    *absent = FALSE;
    if (conn == NULL)
        return NULL;
    virDomainPtr domain = g_uuid_string_is_valid(uuid_or_name)
                              ? virDomainLookupByUUIDString(conn, uuid_or_name)
                              : virDomainLookupByName(conn, uuid_or_name);
    *absent = domain == NULL && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN;
    if (*absent)
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "this host's libvirt knows no VM '%s'; see 'virsh list --all'", uuid_or_name);
    else if (domain == NULL)
        vmf_libvirt_set_error(error, "cannot look for the VM '%s'", uuid_or_name);
    return domain;
}

virDomain *
vmf_host_domain(VmfHost *host, const char *uuid_or_name, GError **error)
{
    gboolean absent;
    return look_up(host, uuid_or_name, &absent, error);
}

/* ---- what a VM is ---- */

void
vmf_vm_info_free(VmfVmInfo *info)
{
    if (info == NULL)
        return;
    g_free(info->uuid);
    g_free(info->name);
    g_free(info);
}

const char *
vmf_vm_state_name(VmfVmState state)
{
    switch (state) {
    case VMF_VM_RUNNING:
        return "running";
    case VMF_VM_PAUSED:
        return "paused";
    case VMF_VM_PAUSED_MIGRATION:
        return "paused (migrating)";
    case VMF_VM_PAUSED_IOERROR:
        return "paused (I/O error)";
    case VMF_VM_SHUTDOWN:
        return "shutting down";
    case VMF_VM_OFF:
        return "off";
    case VMF_VM_CRASHED:
        return "crashed";
    }
    g_assert_not_reached();
}

static VmfVmState
paused_state(int reason)
{
    if (reason == VIR_DOMAIN_PAUSED_MIGRATION || reason == VIR_DOMAIN_PAUSED_STARTING_UP)
        return VMF_VM_PAUSED_MIGRATION;
    return reason == VIR_DOMAIN_PAUSED_IOERROR ? VMF_VM_PAUSED_IOERROR : VMF_VM_PAUSED;
}

static VmfVmState
state_of(int state, int reason)
{
    switch (state) {
    case VIR_DOMAIN_PAUSED:
        return paused_state(reason);
    case VIR_DOMAIN_SHUTDOWN:
        return VMF_VM_SHUTDOWN;
    case VIR_DOMAIN_SHUTOFF:
        return VMF_VM_OFF;
    case VIR_DOMAIN_CRASHED:
        return VMF_VM_CRASHED;
    default: /* NOSTATE, RUNNING, BLOCKED, PMSUSPENDED: a QEMU process that may run the CPUs */
        return VMF_VM_RUNNING;
    }
}

static VmfVmInfo *
describe(virDomain *domain, GError **error)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    int state, reason, autostart = 0;
    if (virDomainGetUUIDString(domain, uuid) < 0 ||
        virDomainGetState(domain, &state, &reason, 0) < 0) {
        vmf_libvirt_set_error(error, "cannot read the state of a VM");
        return NULL;
    }
    VmfVmInfo *info = g_new0(VmfVmInfo, 1);
    info->uuid = g_strdup(uuid);
    info->name = g_strdup(virDomainGetName(domain));
    info->state = state_of(state, reason);
    info->persistent = virDomainIsPersistent(domain) == 1;
    info->autostart = virDomainGetAutostart(domain, &autostart) == 0 && autostart;
    return info;
}

VmfVmInfo *
vmf_host_lookup(VmfHost *host, const char *uuid_or_name, GError **error)
{
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid_or_name, error);
    return domain != NULL ? describe(domain, error) : NULL;
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(VmfVmInfo *const *)a)->name, (*(VmfVmInfo *const *)b)->name);
}

GPtrArray *
vmf_host_list(VmfHost *host, GError **error)
{
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    virDomainPtr *domains = NULL;
    if (conn == NULL)
        return NULL;
    int n = virConnectListAllDomains(conn, &domains, 0);
    if (n < 0) {
        vmf_libvirt_set_error(error, "cannot list this host's VMs");
        return NULL;
    }
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_vm_info_free);
    for (int i = 0; i < n; i++) {
        VmfVmInfo *info = describe(domains[i], NULL); /* NULL: it ended since the list was made */
        if (info != NULL)
            g_ptr_array_add(list, info);
        virDomainFree(domains[i]);
    }
    free(domains);
    g_ptr_array_sort(list, by_name);
    return list;
}

gchar *
vmf_host_dump_xml(VmfHost *host, const char *uuid, VmfXmlForm form, GError **error)
{
    static const guint flags[] = {
        [VMF_XML_LIVE] = VIR_DOMAIN_XML_SECURE,
        [VMF_XML_INACTIVE] = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE,
        [VMF_XML_MIGRATABLE] = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE,
        [VMF_XML_PORTABLE] = VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE |
                             VIR_DOMAIN_XML_MIGRATABLE,
    };
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    if (domain == NULL)
        return NULL;
    char *xml = virDomainGetXMLDesc(domain, flags[form]);
    if (xml == NULL)
        vmf_libvirt_set_error(error, "cannot read the definition of '%s'", uuid);
    gchar *copy = g_strdup(xml);
    free(xml);
    return copy;
}

/* ---- what is done to it ---- */

gboolean
vmf_host_define(VmfHost *host, const char *xml, gchar **uuid, GError **error)
{
    char defined[VIR_UUID_STRING_BUFLEN];
    g_autoptr(virConnect) conn = vmf_host_connection(host, error);
    if (conn == NULL)
        return FALSE;
    g_autoptr(virDomain) domain = virDomainDefineXML(conn, xml);
    if (domain == NULL || virDomainGetUUIDString(domain, defined) < 0) {
        vmf_libvirt_set_error(error, "cannot define the VM");
        return FALSE;
    }
    if (uuid != NULL)
        *uuid = g_strdup(defined);
    return TRUE;
}

/* @call: changes the domain, negative is failure. @what: "start" */
static gboolean
act_on(virDomain *domain, const char *what, int (*call)(virDomain *), GError **error)
{
    g_autofree gchar *name = g_strdup(virDomainGetName(domain)); /* asking forgets the last error */
    if (call(domain) >= 0)
        return TRUE;
    vmf_libvirt_set_error(error, "cannot %s '%s'", what, name);
    return FALSE;
}

static gboolean
act(VmfHost *host, const char *uuid, const char *what, int (*call)(virDomain *), GError **error)
{
    g_autoptr(virDomain) domain = vmf_host_domain(host, uuid, error);
    return domain != NULL && act_on(domain, what, call, error);
}

static int
start(virDomain *domain)
{
    return virDomainCreateWithFlags(domain, 0);
}

static int
start_paused(virDomain *domain)
{
    return virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED);
}

gboolean
vmf_host_start(VmfHost *host, const char *uuid, gboolean paused, GError **error)
{
    return act(host, uuid, "start", paused ? start_paused : start, error);
}

gboolean
vmf_host_resume(VmfHost *host, const char *uuid, GError **error)
{
    return act(host, uuid, "resume", virDomainResume, error);
}

gboolean
vmf_host_suspend(VmfHost *host, const char *uuid, GError **error)
{
    return act(host, uuid, "suspend", virDomainSuspend, error);
}

static int
autostart_on(virDomain *domain)
{
    return virDomainSetAutostart(domain, 1);
}

static int
autostart_off(virDomain *domain)
{
    return virDomainSetAutostart(domain, 0);
}

gboolean
vmf_host_set_autostart(VmfHost *host, const char *uuid, gboolean on, GError **error)
{
    return act(host, uuid, "change autostart of", on ? autostart_on : autostart_off, error);
}

/* Gone before, or while it was asked for, is as good. Reads the last error: no call in between. */
static int
or_gone(int result, int also)
{
    int code = virGetLastErrorCode();
    return result < 0 && (code == VIR_ERR_NO_DOMAIN || code == also) ? 0 : result;
}

static int
destroy_or_off(virDomain *domain)
{
    if (virDomainIsActive(domain) == 0)
        return 0;
    return or_gone(virDomainDestroy(domain), VIR_ERR_OPERATION_INVALID); /* "is not running" */
}

/* What an administrator keeps beside the definition (NVRAM, TPM state) is not ours to delete. */
static int
undefine_or_transient(virDomain *domain)
{
    if (virDomainIsPersistent(domain) == 0)
        return 0;
    if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM |
                                           VIR_DOMAIN_UNDEFINE_KEEP_TPM |
                                           VIR_DOMAIN_UNDEFINE_MANAGED_SAVE) == 0)
        return 0;
    /* A driver that has neither does not know the flags. */
    return or_gone(virGetLastErrorCode() == VIR_ERR_INVALID_ARG ? virDomainUndefine(domain) : -1,
                   VIR_ERR_NO_DOMAIN);
}

static gboolean
act_or_gone(VmfHost *host, const char *uuid, const char *what, int (*call)(virDomain *),
            GError **error)
{
    gboolean absent;
    g_autoptr(GError) failed = NULL;
    g_autoptr(virDomain) domain = look_up(host, uuid, &absent, &failed);
    if (absent || (domain != NULL && act_on(domain, what, call, &failed)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failed));
    return FALSE;
}

gboolean
vmf_host_destroy(VmfHost *host, const char *uuid, GError **error)
{
    return act_or_gone(host, uuid, "destroy", destroy_or_off, error);
}

gboolean
vmf_host_undefine(VmfHost *host, const char *uuid, GError **error)
{
    return act_or_gone(host, uuid, "undefine", undefine_or_transient, error);
}
