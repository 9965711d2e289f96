/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events of VMs, and of libvirtd itself.
 *
 * Theory of operation. Each connection carries one lifecycle callback for all VMs; it is spread to
 * the subscribers here, so that subscriptions outlive connections. When libvirtd goes away, the
 * close callback tells LIBVIRT_LOST, and a thread tries to connect again for as long as somebody
 * is subscribed; then LIBVIRT_RETURNED.
 *
 * Failure model. Events between loss and return are missed: RETURNED means "look at everything".
 */
#include "src/vm/host-private.h"

#include "src/base/error.h"
#include "src/vm/libvirt-error.h"

#define RETRY_US (200 * G_TIME_SPAN_MILLISECOND)

typedef struct {
    guint id;
    gchar *uuid; /* NULL: all */
    VmfVmEventFunc func;
    gpointer data;
    GDestroyNotify destroy;
} Subscriber;

static void
subscriber_free(Subscriber *subscriber)
{
    if (subscriber->destroy != NULL)
        subscriber->destroy(subscriber->data);
    g_free(subscriber->uuid);
    g_free(subscriber);
}

static Subscriber *
find(VmfHost *host, guint id, guint *index)
{
    for (guint i = 0; i < host->subscribers->len; i++) {
        Subscriber *subscriber = g_ptr_array_index(host->subscribers, i);
        if (subscriber->id == id) {
            *index = i;
            return subscriber;
        }
    }
    return NULL;
}

guint
vmf_host_subscribe(VmfHost *host, const char *uuid, VmfVmEventFunc func, gpointer data,
                   GDestroyNotify destroy)
{
    Subscriber *added = g_new0(Subscriber, 1);
    added->uuid = uuid != NULL ? g_ascii_strdown(uuid, -1) : NULL;
    added->func = func;
    added->data = data;
    added->destroy = destroy;
    g_rec_mutex_lock(&host->dispatch);
    added->id = ++host->last_id;
    g_ptr_array_add(host->subscribers, added);
    guint id = added->id;
    g_rec_mutex_unlock(&host->dispatch);
    virConnect *conn = vmf_host_connection(host, NULL); /* from now on, if possible */
    if (conn != NULL)
        virConnectClose(conn);
    return id;
}

void
vmf_host_unsubscribe(VmfHost *host, guint id)
{
    guint index;
    g_rec_mutex_lock(&host->dispatch);
    Subscriber *subscriber = find(host, id, &index);
    if (subscriber != NULL) {
        g_ptr_array_remove_index(host->subscribers, index);
        subscriber_free(subscriber);
    }
    g_rec_mutex_unlock(&host->dispatch);
}

void
vmf_host_events_free(VmfHost *host)
{
    for (guint i = 0; i < host->subscribers->len; i++)
        subscriber_free(g_ptr_array_index(host->subscribers, i));
    g_ptr_array_set_size(host->subscribers, 0);
}

gboolean
vmf_host_events_wanted(VmfHost *host)
{
    g_rec_mutex_lock(&host->dispatch);
    gboolean wanted = host->subscribers->len > 0;
    g_rec_mutex_unlock(&host->dispatch);
    return wanted;
}

/* A func may unsubscribe itself or others: each is looked up anew by its id. */
void
vmf_host_events_tell(VmfHost *host, const char *uuid, VmfVmEvent event)
{
    gint64 now = g_get_monotonic_time();
    g_rec_mutex_lock(&host->dispatch);
    g_autofree guint *ids = g_new(guint, host->subscribers->len + 1);
    guint n = host->subscribers->len, index;
    for (guint i = 0; i < n; i++)
        ids[i] = ((Subscriber *)g_ptr_array_index(host->subscribers, i))->id;
    for (guint i = 0; i < n; i++) {
        Subscriber *to = find(host, ids[i], &index);
        if (to == NULL || (uuid != NULL && to->uuid != NULL && g_strcmp0(uuid, to->uuid) != 0))
            continue;
        to->func(uuid != NULL ? uuid : to->uuid, event, now, to->data);
    }
    g_rec_mutex_unlock(&host->dispatch);
}

/* ---- libvirt's side ---- */

static gboolean
translate(int lifecycle, int detail, VmfVmEvent *event)
{
    switch ((virDomainEventType)lifecycle) {
    case VIR_DOMAIN_EVENT_DEFINED:
        *event = VMF_EVENT_DEFINED;
        return TRUE;
    case VIR_DOMAIN_EVENT_UNDEFINED:
        *event = VMF_EVENT_UNDEFINED;
        return TRUE;
    case VIR_DOMAIN_EVENT_STARTED:
        *event = VMF_EVENT_STARTED;
        return TRUE;
    case VIR_DOMAIN_EVENT_SUSPENDED:
        *event = detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR ? VMF_EVENT_IO_ERROR
                                                              : VMF_EVENT_SUSPENDED;
        return TRUE;
    case VIR_DOMAIN_EVENT_RESUMED:
        *event = VMF_EVENT_RESUMED;
        return TRUE;
    case VIR_DOMAIN_EVENT_STOPPED:
    case VIR_DOMAIN_EVENT_CRASHED:
        *event = VMF_EVENT_STOPPED;
        return TRUE;
    case VIR_DOMAIN_EVENT_SHUTDOWN:
    case VIR_DOMAIN_EVENT_PMSUSPENDED:
#ifdef VIR_ENUM_SENTINELS
    case VIR_DOMAIN_EVENT_LAST:
#endif
        return FALSE;
    }
    return FALSE; /* of a newer libvirt */
}

static void
on_lifecycle(virConnectPtr conn, virDomainPtr domain, int lifecycle, int detail, void *data)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    VmfVmEvent event;
    if (translate(lifecycle, detail, &event) && virDomainGetUUIDString(domain, uuid) == 0)
        vmf_host_events_tell(data, uuid, event);
}

static gboolean
wait_to_retry(VmfHost *host)
{
    gint64 until = g_get_monotonic_time() + RETRY_US;
    g_mutex_lock(&host->state);
    while (!host->closing && g_cond_wait_until(&host->changed, &host->state, until))
        continue;
    gboolean go_on = !host->closing;
    g_mutex_unlock(&host->state);
    return go_on;
}

/* Done when there is a live connection, or nobody is left to tell: decided under the lock. */
static gboolean
has_returned(VmfHost *host)
{
    gboolean wanted = vmf_host_events_wanted(host);
    g_mutex_lock(&host->state);
    gboolean done = !wanted || (host->conn != NULL && virConnectIsAlive(host->conn) == 1);
    if (done)
        host->returning = FALSE;
    g_mutex_unlock(&host->state);
    return done;
}

static gpointer
return_to_libvirt(gpointer data)
{
    VmfHost *host = data;
    while (wait_to_retry(host)) {
        g_autoptr(virConnect) conn = vmf_host_connection(host, NULL);
        if (conn != NULL)
            vmf_host_events_tell(host, NULL, VMF_EVENT_LIBVIRT_RETURNED);
        if (has_returned(host))
            break;
    }
    return NULL;
}

static void
on_close(virConnectPtr conn, int reason, void *data)
{
    VmfHost *host = data;
    if (reason == VIR_CONNECT_CLOSE_REASON_CLIENT)
        return;
    vmf_host_events_tell(host, NULL, VMF_EVENT_LIBVIRT_LOST);
    g_mutex_lock(&host->state);
    if (!host->closing && !host->returning) {
        if (host->returner != NULL)
            g_thread_join(host->returner); /* it has ended, or is about to */
        host->returning = TRUE;
        host->returner = g_thread_new("libvirt-return", return_to_libvirt, host);
    }
    g_mutex_unlock(&host->state);
}

gboolean
vmf_host_events_attach(VmfHost *host, virConnect *conn, int *event_id, GError **error)
{
    int id = virConnectDomainEventRegisterAny(conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                              VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), host, NULL);
    if (id < 0 || virConnectRegisterCloseCallback(conn, on_close, host, NULL) < 0) {
        vmf_libvirt_set_error(error, "cannot subscribe to libvirt's events");
        if (id >= 0)
            virConnectDomainEventDeregisterAny(conn, id);
        return FALSE;
    }
    *event_id = id;
    return TRUE;
}

void
vmf_host_events_detach(virConnect *conn, int event_id)
{
    virConnectDomainEventDeregisterAny(conn, event_id);
    virConnectUnregisterCloseCallback(conn, on_close);
}
