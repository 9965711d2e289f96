/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-url.h"

#include "src/base/error.h"

#include <string.h>

#define SCHEME         "smb://"
#define MAX_TEXT       2048
#define MAX_HOST       253
#define MAX_LABEL      63
#define MAX_SHARE      80
#define MAX_COMPONENT  255
#define MAX_PATH_CHARS 1024

/* MS-FSCC 2.1.5.2 (file names) and 2.1.6 (share names) */
#define FORBIDDEN_IN_NAME  "\\/:*?\"<>|"
#define FORBIDDEN_IN_SHARE FORBIDDEN_IN_NAME "[]+=;,%"

static gboolean
server_label_is_good(const char *label, gsize length)
{
    if (length == 0 || length > MAX_LABEL || label[0] == '-' || label[length - 1] == '-')
        return FALSE;
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(label[i]) && label[i] != '-' && label[i] != '_')
            return FALSE;
    return TRUE;
}

static const char *
why_bad_server(const char *server)
{
    if (*server == '\0')
        return "the server's name is missing";
    if (strlen(server) > MAX_HOST)
        return "the server's name is too long";
    if (strchr(server, '@') != NULL)
        return "a user name or password is not accepted: the host's computer account is used";
    if (g_hostname_is_ip_address(server))
        return "the server has to be named by its DNS name: Kerberos knows no addresses";
    if (strchr(server, ':') != NULL)
        return "a port is not accepted";

    const char *label = server;
    while (TRUE) {
        gsize length = strcspn(label, ".");
        if (!server_label_is_good(label, length))
            return "the server's name is not a DNS name";
        if (label[length] == '\0')
            break;
        label += length + 1;
    }
    if (strpbrk(label, "abcdefghijklmnopqrstuvwxyz") == NULL)
        return "the server has to be named by its DNS name: Kerberos knows no addresses";
    return NULL;
}

static const char *
why_bad_name(const char *name, const char *forbidden, gsize max)
{
    gsize length = strlen(name);
    if (length == 0)
        return "a name in it is empty";
    if (length > max)
        return "a name in it is too long";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "'.' and '..' are not accepted";
    if (!g_utf8_validate(name, -1, NULL))
        return "it is not UTF-8";
    for (const char *at = name; *at != '\0'; at++)
        if (g_ascii_iscntrl(*at) || strchr(forbidden, *at) != NULL)
            return "it has a character that SMB gives a meaning (\\ / : * ? \" < > |, control)";
    if (name[length - 1] == ' ' || name[length - 1] == '.' || name[0] == ' ')
        return "a name in it begins with a space or ends in a space or dot";
    return NULL;
}

/* %XX to bytes; NULL when a '%' is not followed by two digits, or stands for a zero byte */
static gchar *
percent_decode(const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%') {
            g_string_append_c(out, *at);
            continue;
        }
        if (!g_ascii_isxdigit(at[1]) || !g_ascii_isxdigit(at[2]))
            return NULL;
        int byte = g_ascii_xdigit_value(at[1]) * 16 + g_ascii_xdigit_value(at[2]);
        if (byte == 0)
            return NULL;
        g_string_append_c(out, (gchar)byte);
        at += 2;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static const char *
why_bad_path(gchar **components)
{
    gsize total = 0;
    if (components[0] == NULL)
        return "a file below the share is missing";
    for (gsize i = 0; components[i] != NULL; i++) {
        const char *why = why_bad_name(components[i], FORBIDDEN_IN_NAME, MAX_COMPONENT);
        if (why != NULL)
            return why;
        total += strlen(components[i]) + 1;
    }
    return total > MAX_PATH_CHARS ? "the path is too long" : NULL;
}

static VmfShareUrl *
assemble(const char *server, const char *share, gchar **components)
{
    g_autoptr(GString) text = g_string_new(SCHEME);
    g_string_append(text, server);
    g_string_append_c(text, '/');
    g_string_append_uri_escaped(text, share, NULL, FALSE);
    for (gsize i = 0; components[i] != NULL; i++) {
        g_string_append_c(text, '/');
        g_string_append_uri_escaped(text, components[i], NULL, FALSE);
    }
    VmfShareUrl *url = g_new0(VmfShareUrl, 1);
    url->url = g_string_free(g_steal_pointer(&text), FALSE);
    url->server = g_strdup(server);
    url->share = g_strdup(share);
    url->path = g_strjoinv("/", components);
    return url;
}

static VmfShareUrl *
refuse(const char *text, const char *why, GError **error)
{
    g_autofree gchar *shown = g_strndup(text, 200);
    g_autofree gchar *printable = g_strescape(shown, NULL);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "share URL '%s' is refused: %s; it has to read smb://SERVER/SHARE/PATH/FILE",
                printable, why);
    return NULL;
}

/* server/share/a/b, still encoded, already cut at '/' */
static VmfShareUrl *
from_parts(const char *text, gchar **parts, GError **error)
{
    if (parts[0] == NULL || parts[1] == NULL)
        return refuse(text, "the share's name is missing", error);

    g_autofree gchar *server = g_ascii_strdown(parts[0], -1);
    const char *why = why_bad_server(server);
    if (why != NULL)
        return refuse(text, why, error);

    for (gsize i = 1; parts[i] != NULL; i++) {
        gchar *decoded = percent_decode(parts[i]);
        if (decoded == NULL)
            return refuse(text, "a '%' in it is not followed by the two digits of a byte", error);
        g_free(parts[i]);
        parts[i] = decoded;
    }
    why = why_bad_name(parts[1], FORBIDDEN_IN_SHARE, MAX_SHARE);
    if (why == NULL)
        why = why_bad_path(parts + 2);
    if (why != NULL)
        return refuse(text, why, error);
    g_autoptr(VmfShareUrl) url = assemble(server, parts[1], parts + 2);
    if (strlen(url->url) > MAX_TEXT) /* it has to be read again where it is handed on */
        return refuse(text, "it is too long when its characters are written as %XX", error);
    return g_steal_pointer(&url);
}

VmfShareUrl *
vmf_share_url_parse(const char *text, GError **error)
{
    if (strlen(text) > MAX_TEXT)
        return refuse(text, "it is too long", error);
    if (g_ascii_strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
        return refuse(text, "it does not begin with smb://", error);
    if (strpbrk(text, "?#") != NULL)
        return refuse(text, "a query or fragment is not accepted", error);
    g_auto(GStrv) parts = g_strsplit(text + strlen(SCHEME), "/", -1);
    return from_parts(text, parts, error);
}

void
vmf_share_url_free(VmfShareUrl *url)
{
    if (url == NULL)
        return;
    g_free(url->url);
    g_free(url->server);
    g_free(url->share);
    g_free(url->path);
    g_free(url);
}

static gsize
folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (gsize)(slash - path) : 0;
}

VmfShareUrl *
vmf_share_url_sibling(const VmfShareUrl *url, const char *relative, GError **error)
{
    g_autofree gchar *folder = g_strndup(url->path, folder_length(url->path));
    g_autofree gchar *path = *folder != '\0' ? g_strconcat(folder, "/", relative, NULL)
                                             : g_strdup(relative);
    g_auto(GStrv) components = g_strsplit(path, "/", -1);
    const char *why = why_bad_path(components);
    if (why != NULL)
        return refuse(path, why, error);
    return assemble(url->server, url->share, components);
}

gboolean
vmf_share_url_same_folder(const VmfShareUrl *a, const VmfShareUrl *b)
{
    gsize length = folder_length(a->path);
    return strcmp(a->server, b->server) == 0 && strcmp(a->share, b->share) == 0 &&
           length == folder_length(b->path) && strncmp(a->path, b->path, length) == 0;
}

const char *
vmf_share_url_base_name(const VmfShareUrl *url)
{
    const char *slash = strrchr(url->path, '/');
    return slash != NULL ? slash + 1 : url->path;
}

gchar *
vmf_share_url_unc(const VmfShareUrl *url)
{
    return g_strdup_printf("//%s/%s/%s", url->server, url->share, url->path);
}
