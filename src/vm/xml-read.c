/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xml-read.h"

#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "src/base/error.h"
#include "src/vm/xml-limits.h"

/* NOENT is not among them: references to entities stay references, and are refused. */
#define OPTIONS                                                                                    \
    (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES |             \
     XML_PARSE_NOCDATA | XML_PARSE_COMPACT)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

static xmlDoc *
fault(GError **error, const char *what, const char *why)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s %s", what, why);
    return NULL;
}

/* Called at "<!DOCTYPE": before anything in it is looked at. */
static void
stop_at_dtd(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    xmlParserCtxt *parser = context;
    parser->_private = GINT_TO_POINTER(TRUE);
    xmlStopParser(parser);
}

static xmlDoc *
syntax_fault(xmlParserCtxt *parser, const char *what, GError **error)
{
    const xmlError *last = xmlCtxtGetLastError(parser);
    if (parser->_private != NULL)
        return fault(error, what, "has a document type declaration: none may come from outside");
    g_autofree gchar *reason = last != NULL && last->message != NULL
                                   ? g_strstrip(g_utf8_make_valid(last->message, -1))
                                   : g_strdup("not well-formed");
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s is not XML: line %d: %s", what,
                last != NULL ? last->line : 0, reason);
    return NULL;
}

xmlDoc *
vmf_xml_read(const char *what, const char *xml, gsize length, gsize max, GError **error)
{
    if (length > max) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "%s has %" G_GSIZE_FORMAT " bytes; at most %" G_GSIZE_FORMAT " are read", what,
                    length, max);
        return NULL;
    }
    if (length == 0 || !g_utf8_validate_len(xml, length, NULL))
        return fault(error, what, length == 0 ? "is empty" : "is not UTF-8 text");
    g_autofree gchar *limit = NULL;
    guint line;
    if (!vmf_xml_within_limits(xml, length, &limit, &line)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s %s: line %u", what, limit, line);
        return NULL;
    }
    g_autoptr(xmlParserCtxt) parser = xmlNewParserCtxt();
    if (parser == NULL)
        return fault(error, what, "cannot be read: no memory");
    parser->sax->internalSubset = stop_at_dtd;
    /* The encoding given here wins over the one the text claims. */
    g_autoptr(xmlDoc) doc = xmlCtxtReadMemory(parser, xml, (int)length, NULL, "UTF-8", OPTIONS);
    if (doc == NULL || parser->_private != NULL || !parser->wellFormed)
        return syntax_fault(parser, what, error);
    if (xmlDocGetRootElement(doc) == NULL || doc->intSubset != NULL)
        return fault(error, what, "has no root element");
    return g_steal_pointer(&doc);
}
