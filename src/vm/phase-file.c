/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/phase-file.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/xml-read.h"

#define DEFAULT_STATE_DIR "/run/libvirt/qemu"
#define FILE_MAX          ((gsize)16 * 1024 * 1024)
#define LOOK_US           (10 * G_TIME_SPAN_MILLISECOND)

static const struct {
    const char *job, *phase;
    VmfLibvirtPhase ours;
} known[] = {
    {"none", "none", VMF_LIBVIRT_IDLE},
    {"migration out", "none", VMF_LIBVIRT_BEGUN},
    {"migration out", "begin3", VMF_LIBVIRT_BEGUN},
    {"migration out", "perform3", VMF_LIBVIRT_PERFORMING},
    {"migration out", "perform3_done", VMF_LIBVIRT_PERFORMED},
    {"migration out", "confirm3", VMF_LIBVIRT_CONFIRMING},
    {"migration out", "confirm3_cancelled", VMF_LIBVIRT_CONFIRMING},
    {"migration in", "none", VMF_LIBVIRT_PREPARED},
    {"migration in", "prepare", VMF_LIBVIRT_PREPARED},
    {"migration in", "finish3", VMF_LIBVIRT_FINISHING},
};

static gboolean
translate(const char *name, const char *job, const char *phase, VmfLibvirtPhase *out,
          GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (strcmp(known[i].job, job) == 0 && strcmp(known[i].phase, phase) == 0) {
            *out = known[i].ours;
            return TRUE;
        }
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                "libvirt runs a job on the VM '%s' that is not ours: '%s' (%s)", name, job, phase);
    return FALSE;
}

/* No job has no element, and a job without phases no phase. */
static gboolean
read_job(xmlDoc *doc, const char *name, VmfLibvirtPhase *phase, GError **error)
{
    xmlNode *root = xmlDocGetRootElement(doc), *at;
    if (strcmp((const char *)root->name, "domstatus") != 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "libvirt's state of the VM '%s' begins with <%s>, not <domstatus>", name,
                    root->name);
        return FALSE;
    }
    for (at = xmlFirstElementChild(root); at != NULL; at = xmlNextElementSibling(at)) {
        if (strcmp((const char *)at->name, "job") == 0)
            break;
    }
    g_autoptr(xmlChar) job = at != NULL ? xmlGetProp(at, (const xmlChar *)"async") : NULL;
    g_autoptr(xmlChar) its = at != NULL ? xmlGetProp(at, (const xmlChar *)"phase") : NULL;
    return translate(name, job != NULL ? (const char *)job : "none",
                     its != NULL ? (const char *)its : "none", phase, error);
}

gboolean
vmf_phase_file_read(const char *state_dir, const char *name, VmfLibvirtPhase *phase, GError **error)
{
    g_autofree gchar *base = g_strconcat(name, ".xml", NULL);
    g_autofree gchar *path = g_build_filename(state_dir != NULL ? state_dir : DEFAULT_STATE_DIR,
                                              base, NULL);
    g_autofree gchar *text = NULL;
    g_autoptr(GError) failed = NULL;
    gsize length;
    if (!g_file_get_contents(path, &text, &length, &failed)) {
        *phase = VMF_LIBVIRT_IDLE;
        if (g_error_matches(failed, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return TRUE;
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "cannot see what libvirt does with the VM '%s': %s", name, failed->message);
        return FALSE;
    }
    g_autoptr(xmlDoc) doc = vmf_xml_read("libvirt's state file", text, length, FILE_MAX, error);
    return doc != NULL && read_job(doc, name, phase, error);
}

static gboolean
is_running(VmfLibvirtPhase phase)
{
    switch (phase) {
    case VMF_LIBVIRT_PERFORMING:
    case VMF_LIBVIRT_CONFIRMING:
    case VMF_LIBVIRT_FINISHING:
        return TRUE;
    case VMF_LIBVIRT_IDLE:
    case VMF_LIBVIRT_BEGUN:
    case VMF_LIBVIRT_PERFORMED:
    case VMF_LIBVIRT_PREPARED:
        return FALSE;
    }
    g_assert_not_reached();
}

gboolean
vmf_phase_file_wait(const char *state_dir, const char *name, gint64 timeout_ms,
                    VmfLibvirtPhase *phase, GError **error)
{
    gint64 until = g_get_monotonic_time() + timeout_ms * 1000;
    while (vmf_phase_file_read(state_dir, name, phase, error)) {
        if (!is_running(*phase))
            return TRUE;
        if (g_get_monotonic_time() >= until) {
            g_set_error(
                error, VMF_ERROR, VMF_ERROR_BUSY,
                "libvirtd still runs a migration phase of the VM '%s' after %" G_GINT64_FORMAT
                " ms",
                name, timeout_ms);
            return FALSE;
        }
        g_usleep(LOOK_US); /* libvirt tells nobody */
    }
    return FALSE;
}
