/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/cookie.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain-table.h"
#include "src/vm/xml-read.h"

#define WHAT "the migration cookie that came from another host"

/* Which of the known elements libvirt wants in which cookie; all have the first four. */
static const struct {
    const char *element;
    guint kinds; /* 1 << VmfCookieKind */
} wanted[] = {
    {"name", ~0u},
    {"uuid", ~0u},
    {"hostname", ~0u},
    {"hostuuid", ~0u},
    {"feature", 1 << VMF_COOKIE_BEGIN},
    {"cpu", 1 << VMF_COOKIE_BEGIN},
    {"capabilities", 1 << VMF_COOKIE_BEGIN | 1 << VMF_COOKIE_PREPARE},
    {"statistics", 1 << VMF_COOKIE_PERFORM | 1 << VMF_COOKIE_FINISH},
};
#define ALWAYS 4

static gboolean
is_wanted(const char *element, VmfCookieKind kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (strcmp(wanted[i].element, element) == 0)
            return (wanted[i].kinds & (1u << kind)) != 0;
    }
    return FALSE;
}

/* Lock leases do not travel (domain-table.c), so nobody has to understand them. */
static gboolean
says_nothing(const VmfXmlNode *node)
{
    return strcmp(node->name, "feature") == 0 &&
           g_strcmp0(vmf_xml_node_attribute(node, "name"), "lockstate") == 0;
}

static void
keep_wanted(VmfXmlNode *root, VmfCookieKind kind)
{
    for (guint i = root->children->len; i-- > 0;) {
        const VmfXmlNode *child = g_ptr_array_index(root->children, i);
        if (!is_wanted(child->name, kind) || says_nothing(child))
            g_ptr_array_remove_index(root->children, i);
    }
}

static gboolean fault(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean
fault(GError **error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, WHAT " %s", said);
    return FALSE;
}

static gboolean
check(const VmfXmlNode *root, const char *uuid, const char *name, GError **error)
{
    for (gsize i = 0; i < ALWAYS; i++) {
        if (vmf_xml_node_find_text(root, wanted[i].element) == NULL)
            return fault(error, "has no <%s>", wanted[i].element);
    }
    const char *its_uuid = vmf_xml_node_find_text(root, "uuid");
    const char *its_name = vmf_xml_node_find_text(root, "name");
    if (g_ascii_strcasecmp(its_uuid, uuid) != 0 || strcmp(its_name, name) != 0)
        return fault(error, "is of '%s' (%s), not of '%s' (%s)", its_name, its_uuid, name, uuid);
    return TRUE;
}

GBytes *
vmf_cookie_rebuild(VmfCookieKind kind, GBytes *cookie, const char *uuid, const char *name,
                   GError **error)
{
    const VmfXmlContext context = {.what = WHAT};
    gsize size;
    const char *data = g_bytes_get_data(cookie, &size);
    if (size == 0 || data[size - 1] != '\0') {
        fault(error, "does not end with a NUL byte");
        return NULL;
    }
    g_autoptr(xmlDoc) doc = vmf_xml_read(WHAT, data, size - 1, VMF_COOKIE_MAX, error);
    if (doc == NULL)
        return NULL;
    g_autoptr(VmfXmlNode)
        root = vmf_xml_apply(vmf_domain_rules(), &context, doc, "qemu-migration", error);
    if (root == NULL || !check(root, uuid, name, error))
        return NULL;
    keep_wanted(root, kind);
    gchar *written = vmf_xml_node_write(root);
    return g_bytes_new_take(written, strlen(written) + 1);
}
