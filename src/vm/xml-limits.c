/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xml-limits.h"

#include <string.h>

typedef struct {
    const char *at;
    const char *end;
    guint tags;
    guint values;
    guint depth;
} Scan;

static gboolean
begins(const Scan *scan, const char *with)
{
    gsize length = strlen(with);
    return (gsize)(scan->end - scan->at) >= length && memcmp(scan->at, with, length) == 0;
}

/* Past the next @closing, or to the end. */
static void
skip_past(Scan *scan, const char *closing)
{
    gsize length = strlen(closing);
    const char *found = memmem(scan->at, (gsize)(scan->end - scan->at), closing, length);
    scan->at = found != NULL ? found + length : scan->end;
}

/* Past the '>' that ends this tag. Returns: its attributes; @closed: it ends with "/>". */
static guint
skip_tag(Scan *scan, gboolean *closed)
{
    guint attributes = 0;
    char before = '\0';
    for (; scan->at < scan->end && *scan->at != '>'; scan->at++) {
        before = *scan->at;
        if (*scan->at != '"' && *scan->at != '\'')
            continue;
        const char *quote = memchr(scan->at + 1, *scan->at, (gsize)(scan->end - scan->at - 1));
        attributes++;
        scan->at = quote != NULL ? quote : scan->end - 1;
        before = '\0';
    }
    *closed = before == '/';
    scan->at = MIN(scan->at + 1, scan->end);
    return attributes;
}

/* At '<'. Returns: a limit's text, or NULL; then behind the tag. */
static const char *
take_tag(Scan *scan)
{
    gboolean closed = FALSE;
    if (begins(scan, "<!--")) {
        scan->at += strlen("<!--");
        skip_past(scan, "-->");
    } else if (begins(scan, "<![CDATA[")) {
        skip_past(scan, "]]>");
    } else if (begins(scan, "<?")) {
        skip_past(scan, "?>");
    } else if (begins(scan, "<!")) {
        scan->at = scan->end; /* a document type declaration: the reader refuses it */
    } else if (begins(scan, "</")) {
        skip_tag(scan, &closed);
        scan->depth -= scan->depth > 0;
    } else {
        if (++scan->tags > VMF_XML_TAGS_MAX)
            return "has more than " G_STRINGIFY(VMF_XML_TAGS_MAX) " elements";
        if (scan->depth >= VMF_XML_DEPTH_MAX)
            return "has more than " G_STRINGIFY(VMF_XML_DEPTH_MAX) " levels of elements";
        scan->at++;
        guint attributes = skip_tag(scan, &closed);
        scan->values += attributes;
        if (scan->values > VMF_XML_VALUES_MAX)
            return "has more than " G_STRINGIFY(VMF_XML_VALUES_MAX) " attributes";
        if (attributes > VMF_XML_ATTRIBUTES_MAX)
            return "has an element with more than " G_STRINGIFY(
                VMF_XML_ATTRIBUTES_MAX) " attributes";
        scan->depth += !closed;
    }
    return NULL;
}

gboolean
vmf_xml_within_limits(const char *xml, gsize length, gchar **why, guint *line)
{
    Scan scan = {.at = xml, .end = xml + length};
    while (scan.at < scan.end) {
        const char *tag = memchr(scan.at, '<', (gsize)(scan.end - scan.at));
        if (tag == NULL)
            break;
        scan.at = tag;
        const char *limit = take_tag(&scan);
        if (limit == NULL)
            continue;
        *why = g_strdup(limit);
        *line = 1;
        for (const char *at = xml; at < tag; at++)
            *line += *at == '\n';
        return FALSE;
    }
    return TRUE;
}
