/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-find-scan.h"

#include "smb/owner-record.h"
#include "smb/share-find.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define MAX_DEPTH      4
#define MAX_FOLDERS    20000
#define MAX_DEFINITION ((gsize)1024 * 1024)

typedef struct {
    gchar *url;
    guint depth;
    gboolean begin; /* named by the request */
} Place;

typedef struct {
    SMBCCTX *context;
    const char *wanted;
    gchar *name_element; /* "<name>…</name>" */
    GQueue places;       /* of Place: to be searched */
    guint searched;
    GVariantBuilder found, troubles;
} Scan;

static void
add_place(Scan *scan, gchar *url, guint depth, gboolean begin)
{
    Place *place = g_new(Place, 1);
    *place = (Place){url, depth, begin};
    g_queue_push_tail(&scan->places, place);
}

static gchar *
below(const char *url, const char *name)
{
    g_autofree gchar *escaped = g_uri_escape_string(name, NULL, TRUE);
    return g_strconcat(url, "/", escaped, NULL);
}

/* Returns: (transfer full): NULL with errno */
static GByteArray *
read_file(SMBCCTX *context, const char *url, gsize most)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    guint8 chunk[65536];
    errno = 0;
    SMBCFILE *file = smbc_getFunctionOpen(context)(context, url, O_RDONLY, 0);
    if (file == NULL)
        return NULL;
    ssize_t got;
    while ((got = smbc_getFunctionRead(context)(context, file, chunk, sizeof chunk)) > 0 &&
           bytes->len + (gsize)got <= most)
        g_byte_array_append(bytes, chunk, (guint)got);
    int code = got > 0 ? EFBIG : errno;
    smbc_getFunctionClose(context)(context, file);
    errno = code;
    return got == 0 ? g_steal_pointer(&bytes) : NULL;
}

/*
 * libsmbclient replaces a file by removing it before it renames the new one: a host that died in between
 * has left that one, whole, under the name that disk-set-files.c gives it.
 */
static gchar *
read_definition(Scan *scan, const char *folder, gchar **problem)
{
    g_autofree gchar *url = below(folder, "domain.xml");
    g_autofree gchar *successor = g_strconcat(folder, "/.vmferry/domain.xml.new", NULL);
    g_autoptr(GByteArray) bytes = read_file(scan->context, url, MAX_DEFINITION);
    int code = errno;
    if (bytes == NULL && code == ENOENT)
        bytes = read_file(scan->context, successor, MAX_DEFINITION);
    if (bytes && g_utf8_validate((const gchar *)bytes->data, bytes->len, NULL))
        return g_strndup((const gchar *)bytes->data, bytes->len);
    *problem = g_strdup_printf("%s: %s", url, bytes ? "it is not UTF-8 text" : g_strerror(code));
    return g_strdup("");
}

static gboolean
is_wanted(const Scan *scan, const char *uuid, const char *definition)
{
    return scan->wanted[0] == '\0' || g_ascii_strcasecmp(uuid, scan->wanted) == 0 ||
           strstr(definition, scan->name_element) != NULL;
}

static void
look_at_record(Scan *scan, const char *folder, const char *records, const char *uuid)
{
    g_autofree gchar *problem = NULL;
    g_autofree gchar *file = g_strconcat(uuid, ".own", NULL);
    g_autofree gchar *url = below(records, file);
    g_autofree gchar *definition = read_definition(scan, folder, &problem);
    if (!is_wanted(scan, uuid, definition))
        return;
    g_autoptr(GByteArray) bytes = read_file(scan->context, url, VMF_OWNER_FILE_SIZE);
    if (bytes == NULL && problem == NULL)
        problem = g_strdup_printf("%s: %s", url, g_strerror(errno));
    GVariant *record = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes ? bytes->data : NULL,
                                                 bytes ? bytes->len : 0, 1);
    g_variant_builder_add(&scan->found, "(sss@ays)", folder, uuid, definition, record,
                          problem ? problem : "");
}

/* Returns: (transfer full): the names in a folder, those of folders end in "/"; NULL with errno */
static GPtrArray *
list(SMBCCTX *context, const char *url)
{
    const struct smbc_dirent *entry;
    errno = 0;
    SMBCFILE *folder = smbc_getFunctionOpendir(context)(context, url);
    if (folder == NULL)
        return NULL;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    while ((entry = smbc_getFunctionReaddir(context)(context, folder)) != NULL)
        if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
            g_ptr_array_add(
                names, g_strconcat(entry->name, entry->smbc_type == SMBC_DIR ? "/" : "", NULL));
    smbc_getFunctionClosedir(context)(context, folder);
    return names;
}

static void
look_at_records(Scan *scan, const char *folder, const char *records)
{
    g_autoptr(GPtrArray) names = list(scan->context, records);
    for (guint i = 0; names && i < names->len; i++) {
        const char *name = names->pdata[i];
        if (!g_str_has_suffix(name, ".own"))
            continue;
        g_autofree gchar *uuid = g_strndup(name, strlen(name) - 4);
        if (g_uuid_string_is_valid(uuid))
            look_at_record(scan, folder, records, uuid);
    }
}

static void
search(Scan *scan, const Place *place)
{
    g_autoptr(GPtrArray) names = list(scan->context, place->url);
    if (names == NULL) {
        if (place->begin) {
            g_autofree gchar *why = g_strdup_printf("%s: %s", place->url, g_strerror(errno));
            g_variant_builder_add(&scan->troubles, "s", why);
        }
        return;
    }
    for (guint i = 0; i < names->len; i++) {
        gchar *name = names->pdata[i];
        gsize length = strlen(name);
        if (name[length - 1] != '/')
            continue;
        name[length - 1] = '\0';
        g_autofree gchar *url = below(place->url, name);
        if (strcmp(name, ".vmferry") == 0)
            look_at_records(scan, place->url, url);
        else if (place->depth < MAX_DEPTH)
            add_place(scan, g_steal_pointer(&url), place->depth + 1, FALSE);
    }
}

GVariant *
vmf_share_find_scan(SMBCCTX *context, GVariant *request)
{
    Scan scan = {.context = context};
    g_autoptr(GVariantIter) begin = NULL;
    const char *url;
    g_variant_get(request, "(&sas)", &scan.wanted, &begin);
    g_autofree gchar *name = g_markup_escape_text(scan.wanted, -1);
    scan.name_element = g_strdup_printf("<name>%s</name>", name);
    g_variant_builder_init(&scan.found, G_VARIANT_TYPE("a(sssays)"));
    g_variant_builder_init(&scan.troubles, G_VARIANT_TYPE("as"));
    while (g_variant_iter_next(begin, "&s", &url))
        add_place(&scan, g_strdup(url), scan.wanted[0] ? 0 : MAX_DEPTH, TRUE);
    for (Place *place; (place = g_queue_pop_head(&scan.places)) != NULL;) {
        if (scan.searched++ < MAX_FOLDERS)
            search(&scan, place);
        else if (scan.searched == MAX_FOLDERS + 1)
            g_variant_builder_add(&scan.troubles, "s", "there are too many folders");
        g_free(place->url);
        g_free(place);
    }
    g_free(scan.name_element);
    return g_variant_ref_sink(g_variant_new("(a(sssays)as)", &scan.found, &scan.troubles));
}
