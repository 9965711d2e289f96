/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xml-rules.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/xml-kinds.h"

#define SHOWN_BYTES 80 /* of a value in a message */

typedef enum { ENTRY_KIND, ENTRY_WORDS, ENTRY_DROP, ENTRY_REFUSE } EntryAct;

/* An attribute, or the text, of one row. */
typedef struct {
    EntryAct act;
    const VmfXmlKind *kind;
    gchar **words;
} Entry;

typedef struct {
    const VmfXmlRule *rule;
    GHashTable *attributes; /* name → Entry */
    Entry *text;            /* NULL: none */
} Row;

struct VmfXmlRules {
    GHashTable *rows; /* path → Row */
};

typedef struct {
    const VmfXmlRules *rules;
    const VmfXmlContext *context;
    guint elements;
    GError **error;
} Walk;

/* ---- the table ---- */

static Entry *
compile_value(const char *spelled)
{
    Entry *entry = g_new0(Entry, 1);
    if (spelled[0] == '=') {
        entry->act = ENTRY_WORDS;
        entry->words = g_strsplit(spelled + 1, "|", -1);
    } else if (spelled[0] == ':') {
        entry->act = ENTRY_KIND;
        entry->kind = vmf_xml_kind(spelled + 1);
    }
    if (entry->kind == NULL && entry->words == NULL)
        g_error("xml rules: '%s' is neither a kind nor words", spelled);
    return entry;
}

static void
compile_attribute(GHashTable *attributes, const char *item)
{
    Entry *entry;
    gsize length = strcspn(item, ":=");
    if (item[0] == '-' || item[0] == '!') {
        entry = g_new0(Entry, 1);
        entry->act = item[0] == '-' ? ENTRY_DROP : ENTRY_REFUSE;
        item++;
        length = strlen(item);
    } else {
        entry = compile_value(item + length);
    }
    if (!g_hash_table_insert(attributes, g_strndup(item, length), entry))
        g_error("xml rules: attribute '%s' twice", item);
}

static Row *
compile_row(const VmfXmlRule *rule)
{
    Row *row = g_new0(Row, 1);
    row->rule = rule;
    row->attributes = g_hash_table_new(g_str_hash, g_str_equal);
    g_auto(GStrv) items = g_strsplit(rule->attributes != NULL ? rule->attributes : "", " ", -1);
    for (guint i = 0; items[i] != NULL; i++) {
        if (items[i][0] != '\0')
            compile_attribute(row->attributes, items[i]);
    }
    if (rule->text != NULL)
        row->text = compile_value(rule->text);
    return row;
}

VmfXmlRules *
vmf_xml_rules_compile(const VmfXmlRule *rules, gsize n)
{
    VmfXmlRules *compiled = g_new0(VmfXmlRules, 1);
    compiled->rows = g_hash_table_new(g_str_hash, g_str_equal);
    for (gsize i = 0; i < n; i++) {
        if (!g_hash_table_insert(compiled->rows, (gpointer)rules[i].path, compile_row(&rules[i])))
            g_error("xml rules: '%s' twice", rules[i].path);
    }
    return compiled;
}

/*
 * The row of "domain/devices/disk/address" itself, else of "domain/devices/<star>/address", else
 * of "domain/devices/disk/<star>".
 */
static const Row *
find_row(const VmfXmlRules *rules, const char *path)
{
    static const char devices[] = "domain/devices/";
    const Row *row = g_hash_table_lookup(rules->rows, path);
    const char *below = g_str_has_prefix(path, devices) ? strchr(path + strlen(devices), '/')
                                                        : NULL;
    if (row == NULL && below != NULL) {
        g_autofree gchar *any_device = g_strconcat(devices, "*", below, NULL);
        row = g_hash_table_lookup(rules->rows, any_device);
    }
    const char *last = strrchr(path, '/');
    if (row == NULL && last != NULL) {
        g_autofree gchar *any_child = g_strdup_printf("%.*s/*", (int)(last - path), path);
        row = g_hash_table_lookup(rules->rows, any_child);
    }
    return row;
}

/* ---- refusals ---- */

static void refuse(Walk *walk, int code, long line, const char *format, ...) G_GNUC_PRINTF(4, 5);

static void
refuse(Walk *walk, int code, long line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(walk->error, VMF_ERROR, code, "%s, line %ld: %s", walk->context->what, line, said);
}

/* For messages: short, and nothing that moves a terminal's cursor. */
static gchar *
shown(const char *value)
{
    GString *out = g_string_new(NULL);
    for (const char *at = value; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (out->len > SHOWN_BYTES) {
            g_string_append(out, "...");
            break;
        }
        g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
    }
    return g_string_free(out, FALSE);
}

/* ---- values ---- */

static VmfValueVerdict
judge(const Entry *entry, const char *value, const VmfXmlContext *context)
{
    switch (entry->act) {
    case ENTRY_KIND:
        return entry->kind->judge(value, context);
    case ENTRY_WORDS:
        return g_strv_contains((const char *const *)entry->words, value) ? VMF_VALUE_OK
                                                                         : VMF_VALUE_REFUSED;
    case ENTRY_DROP:
        return VMF_VALUE_DROPPED;
    case ENTRY_REFUSE:
        return VMF_VALUE_REFUSED;
    }
    g_assert_not_reached();
}

/* @owner: "attribute 'type' of <disk>", "text of <backend>" */
static gboolean
take_value(Walk *walk, const Row *row, const Entry *entry, const char *owner, const char *value,
           long line, gboolean *keep)
{
    g_autofree gchar *safe = shown(value);
    const char *reason = row->rule->reason;
    VmfValueVerdict verdict = judge(entry, value, walk->context);
    *keep = verdict == VMF_VALUE_OK;
    switch (verdict) {
    case VMF_VALUE_OK:
    case VMF_VALUE_DROPPED:
        return TRUE;
    case VMF_VALUE_MALFORMED:
        refuse(walk, VMF_ERROR_PROTOCOL, line, "%s is '%s', not %s", owner, safe,
               entry->kind->described);
        return FALSE;
    case VMF_VALUE_REFUSED:
        refuse(walk, VMF_ERROR_UNSUPPORTED, line, "%s is '%s', which may not come from there%s%s",
               owner, safe, reason != NULL ? ": " : "", reason != NULL ? reason : "");
        return FALSE;
    }
    g_assert_not_reached();
}

static gboolean
take_attribute(Walk *walk, const Row *row, VmfXmlNode *node, xmlAttr *attribute)
{
    const char *name = (const char *)attribute->name;
    long line = xmlGetLineNo(attribute->parent);
    g_autofree gchar *safe = shown(name);
    const Entry *entry = attribute->ns == NULL ? g_hash_table_lookup(row->attributes, name) : NULL;
    if (entry == NULL) {
        refuse(walk, VMF_ERROR_UNSUPPORTED, line,
               "attribute '%s%s%s' of <%s> is not on the list of what may come from there",
               attribute->ns != NULL ? (const char *)attribute->ns->href : "",
               attribute->ns != NULL ? " " : "", safe, node->name);
        return FALSE;
    }
    gboolean keep;
    g_autoptr(xmlChar) value = xmlNodeListGetString(attribute->doc, attribute->children, 1);
    g_autofree gchar *owner = g_strdup_printf("attribute '%s' of <%s>", safe, node->name);
    const char *given = value != NULL ? (const char *)value : "";
    if (!take_value(walk, row, entry, owner, given, line, &keep))
        return FALSE;
    if (keep)
        vmf_xml_node_set(node, name, given);
    return TRUE;
}

/* ---- elements ---- */

static gboolean take_element(Walk *walk, xmlNode *element, const char *path, VmfXmlNode *parent,
                             VmfXmlNode **taken);

/* "disk", "vmferry:disk", or NULL after a refusal: an unknown namespace. */
static gchar *
model_name(Walk *walk, const xmlNode *element)
{
    if (element->ns == NULL)
        return g_strdup((const char *)element->name);
    const char *prefix = vmf_xml_namespace_prefix((const char *)element->ns->href);
    if (prefix != NULL)
        return g_strdup_printf("%s:%s", prefix, element->name);
    g_autofree gchar *name = shown((const char *)element->name);
    g_autofree gchar *href = shown((const char *)element->ns->href);
    refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element),
           "<%s> of the namespace '%s' may not come from there: remove it from the VM", name, href);
    return NULL;
}

static gboolean
take_text(Walk *walk, const Row *row, VmfXmlNode *node, const GString *text)
{
    g_autofree gchar *stripped = g_strstrip(g_strdup(text->str));
    g_autofree gchar *owner = g_strdup_printf("the text of <%s>", node->name);
    gboolean keep;
    if (stripped[0] == '\0')
        return TRUE;
    if (row->text == NULL) {
        refuse(walk, VMF_ERROR_PROTOCOL, node->line, "<%s> has a text, where none is expected",
               node->name);
        return FALSE;
    }
    if (!take_value(walk, row, row->text, owner, stripped, node->line, &keep))
        return FALSE;
    if (keep)
        node->text = g_steal_pointer(&stripped);
    return TRUE;
}

static gboolean
take_content(Walk *walk, const Row *row, xmlNode *element, const char *path, VmfXmlNode *node)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (xmlNode *child = element->children; child != NULL; child = child->next) {
        if (child->type == XML_COMMENT_NODE)
            continue;
        if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) {
            g_string_append(text, (const char *)child->content);
            continue;
        }
        if (child->type != XML_ELEMENT_NODE) {
            refuse(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(child),
                   "<%s> contains an entity or a processing instruction", node->name);
            return FALSE;
        }
        g_autoptr(VmfXmlNode) taken = NULL;
        if (!take_element(walk, child, path, node, &taken))
            return FALSE;
        if (taken != NULL)
            g_ptr_array_add(node->children, g_steal_pointer(&taken));
    }
    return take_text(walk, row, node, text);
}

/* Levels need no limit of their own: the table has none deeper than its rows. */
static gboolean
within_limits(Walk *walk, const xmlNode *element)
{
    if (++walk->elements <= VMF_XML_ELEMENTS_MAX)
        return TRUE;
    refuse(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), "more than %d elements",
           VMF_XML_ELEMENTS_MAX);
    return FALSE;
}

/* Is an element of this row allowed here? Writes FALSE to @keep when it is dropped. */
static gboolean
admit(Walk *walk, const Row *row, const char *name, const xmlNode *element,
      const VmfXmlNode *parent, gboolean *keep)
{
    g_autofree gchar *safe = shown(name);
    *keep = row != NULL && row->rule->act != VMF_XML_DROP;
    if (row == NULL)
        refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element),
               "<%s> in <%s> is not on the list of what may come from there", safe,
               parent != NULL ? parent->name : "the document");
    else if (row->rule->act == VMF_XML_REFUSE)
        refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element),
               "<%s> may not come from there: %s", safe, row->rule->reason);
    else if (row->rule->act == VMF_XML_KEEP && parent != NULL &&
             vmf_xml_node_find(parent, name) != NULL)
        refuse(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), "a second <%s> in <%s>", safe,
               parent->name);
    else
        return TRUE;
    return FALSE;
}

static gboolean
take_element(Walk *walk, xmlNode *element, const char *path, VmfXmlNode *parent, VmfXmlNode **taken)
{
    gboolean keep;
    g_autofree gchar *name = model_name(walk, element);
    if (name == NULL || !within_limits(walk, element))
        return FALSE;
    g_autofree gchar *own = path[0] != '\0' ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
    const Row *row = find_row(walk->rules, own);
    if (!admit(walk, row, name, element, parent, &keep))
        return FALSE;
    if (!keep)
        return TRUE;
    g_autoptr(VmfXmlNode) node = vmf_xml_node_new(name, (guint)xmlGetLineNo(element));
    for (xmlAttr *attribute = element->properties; attribute != NULL; attribute = attribute->next) {
        if (!take_attribute(walk, row, node, attribute))
            return FALSE;
    }
    if (!take_content(walk, row, element, row->rule->as != NULL ? row->rule->as : own, node))
        return FALSE;
    if (row->rule->act != VMF_XML_KEEP_FULL || node->attributes->len > 0 ||
        node->children->len > 0 || node->text != NULL)
        *taken = g_steal_pointer(&node);
    return TRUE;
}

VmfXmlNode *
vmf_xml_apply(const VmfXmlRules *rules, const VmfXmlContext *context, xmlDoc *doc, const char *root,
              GError **error)
{
    Walk walk = {.rules = rules, .context = context, .error = error};
    xmlNode *element = xmlDocGetRootElement(doc);
    g_autoptr(VmfXmlNode) taken = NULL;
    if (strcmp((const char *)element->name, root) != 0) {
        g_autofree gchar *safe = shown((const char *)element->name);
        refuse(&walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), "the root is <%s>, not <%s>", safe,
               root);
        return NULL;
    }
    if (!take_element(&walk, element, "", NULL, &taken))
        return NULL;
    return g_steal_pointer(&taken);
}
