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
    GString *path; /* of the element that is looked at, as the document has it */
    guint elements;
    gboolean stopped; /* with @error */
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

static void
refusal_free(gpointer data)
{
    VmfXmlRefusal *refusal = data;
    g_free(refusal->path);
    g_free(refusal->reason);
    g_free(refusal);
}

VmfXmlRefusals *
vmf_xml_refusals_new(void)
{
    VmfXmlRefusals *refusals = g_new0(VmfXmlRefusals, 1);
    refusals->list = g_ptr_array_new_with_free_func(refusal_free);
    return refusals;
}

void
vmf_xml_refusals_free(VmfXmlRefusals *refusals)
{
    if (refusals == NULL)
        return;
    g_ptr_array_unref(refusals->list);
    g_free(refusals);
}

void
vmf_xml_refusals_take(VmfXmlRefusals *refusals, const char *path, guint line, VmfError code,
                      gchar *reason)
{
    if (refusals->list->len >= VMF_XML_REFUSALS_MAX) {
        refusals->omitted++;
        g_free(reason);
        return;
    }
    VmfXmlRefusal *refusal = g_new0(VmfXmlRefusal, 1);
    refusal->path = g_strdup(path);
    refusal->line = line;
    refusal->code = code;
    refusal->reason = reason;
    g_ptr_array_add(refusals->list, refusal);
}

/* An error of the whole document: nothing more is looked at. */
static void stop(Walk *walk, int code, long line, const char *format, ...) G_GNUC_PRINTF(4, 5);

static void
stop(Walk *walk, int code, long line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(walk->error, VMF_ERROR, code, "%s, line %ld%s%s: %s", walk->context->what, line,
                walk->path->len > 0 ? ", " : "", walk->path->str, said);
    walk->stopped = TRUE;
}

/* @attribute: (nullable): of the present element. Stops, unless refusals are to be listed. */
static void refuse(Walk *walk, int code, long line, const char *attribute, const char *format, ...)
    G_GNUC_PRINTF(5, 6);

static void
refuse(Walk *walk, int code, long line, const char *attribute, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree gchar *said = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autofree gchar *path = attribute != NULL
                                 ? g_strdup_printf("%s/@%s", walk->path->str, attribute)
                                 : g_strdup(walk->path->str);
    if (walk->context->refusals == NULL) {
        g_string_assign(walk->path, path);
        stop(walk, code, line, "%s", said);
        return;
    }
    vmf_xml_refusals_take(walk->context->refusals, path, (guint)line, code, g_steal_pointer(&said));
}

/* The listing is about a VM of this host, an error about what came from elsewhere. */
static const char *
not_allowed(const Walk *walk)
{
    return walk->context->refusals != NULL ? "does not move" : "may not come from there";
}

static const char *
not_listed(const Walk *walk)
{
    return walk->context->refusals != NULL ? "is not on the list of what moves"
                                           : "is not on the list of what may come from there";
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

/*
 * Is the value to be kept? @owner: "attribute 'type' of <disk>", "text of <backend>"; @attribute:
 * its name, NULL for text.
 */
static gboolean
take_value(Walk *walk, const Row *row, const Entry *entry, const char *owner, const char *attribute,
           const char *value, VmfXmlNode *node)
{
    g_autofree gchar *safe = shown(value);
    const char *reason = row->rule->reason;
    switch (judge(entry, value, walk->context)) {
    case VMF_VALUE_OK:
        return TRUE;
    case VMF_VALUE_DROPPED:
        return FALSE;
    case VMF_VALUE_MALFORMED:
        refuse(walk, VMF_ERROR_PROTOCOL, node->line, attribute, "%s is '%s', not %s", owner, safe,
               entry->kind->described);
        node->cut = TRUE;
        return FALSE;
    case VMF_VALUE_REFUSED:
        refuse(walk, VMF_ERROR_UNSUPPORTED, node->line, attribute, "%s is '%s', which %s%s%s",
               owner, safe, not_allowed(walk), reason != NULL ? ": " : "",
               reason != NULL ? reason : "");
        node->cut = TRUE;
        return FALSE;
    }
    g_assert_not_reached();
}

static void
take_attribute(Walk *walk, const Row *row, VmfXmlNode *node, xmlAttr *attribute)
{
    const char *name = (const char *)attribute->name;
    g_autofree gchar *safe = shown(name);
    const Entry *entry = attribute->ns == NULL ? g_hash_table_lookup(row->attributes, name) : NULL;
    if (entry == NULL) {
        g_autofree gchar *href = shown(attribute->ns != NULL ? (const char *)attribute->ns->href
                                                             : "");
        refuse(walk, VMF_ERROR_UNSUPPORTED, node->line, safe, "attribute '%s%s%s' of <%s> %s", href,
               href[0] != '\0' ? " " : "", safe, node->name, not_listed(walk));
        node->cut = TRUE;
        return;
    }
    g_autoptr(xmlChar) value = xmlNodeListGetString(attribute->doc, attribute->children, 1);
    g_autofree gchar *owner = g_strdup_printf("attribute '%s' of <%s>", safe, node->name);
    const char *given = value != NULL ? (const char *)value : "";
    if (take_value(walk, row, entry, owner, name, given, node))
        vmf_xml_node_set(node, name, given);
}

/* ---- elements ---- */

static VmfXmlNode *take_element(Walk *walk, xmlNode *element, const char *path, VmfXmlNode *parent);

/* "disk", "vmferry:disk"; of an unknown namespace "its-name", and FALSE in @known. */
static gchar *
model_name(const xmlNode *element, gboolean *known)
{
    const char *prefix = element->ns != NULL
                             ? vmf_xml_namespace_prefix((const char *)element->ns->href)
                             : NULL;
    *known = element->ns == NULL || prefix != NULL;
    return prefix != NULL ? g_strdup_printf("%s:%s", prefix, element->name)
                          : g_strdup((const char *)element->name);
}

static void
refuse_namespace(Walk *walk, const xmlNode *element)
{
    g_autofree gchar *name = shown((const char *)element->name);
    g_autofree gchar *href = shown((const char *)element->ns->href);
    refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element), NULL,
           "<%s> of the namespace '%s' %s: remove it from the VM", name, href, not_allowed(walk));
}

static void
take_text(Walk *walk, const Row *row, VmfXmlNode *node, const GString *text)
{
    g_autofree gchar *stripped = g_strstrip(g_strdup(text->str));
    g_autofree gchar *owner = g_strdup_printf("the text of <%s>", node->name);
    if (stripped[0] == '\0')
        return;
    if (row->text == NULL) {
        refuse(walk, VMF_ERROR_PROTOCOL, node->line, NULL,
               "<%s> has a text, where none is expected", node->name);
        node->cut = TRUE;
    } else if (take_value(walk, row, row->text, owner, NULL, stripped, node)) {
        node->text = g_steal_pointer(&stripped);
    }
}

static void
take_child(Walk *walk, xmlNode *child, const char *path, VmfXmlNode *node)
{
    if (child->type != XML_ELEMENT_NODE) {
        refuse(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(child), NULL,
               "<%s> contains an entity or a processing instruction", node->name);
        node->cut = TRUE;
        return;
    }
    VmfXmlNode *taken = take_element(walk, child, path, node);
    if (taken != NULL)
        g_ptr_array_add(node->children, taken);
}

static void
take_content(Walk *walk, const Row *row, xmlNode *element, const char *path, VmfXmlNode *node)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (xmlNode *child = element->children; child != NULL && !walk->stopped; child = child->next) {
        if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE)
            g_string_append(text, (const char *)child->content);
        else if (child->type != XML_COMMENT_NODE)
            take_child(walk, child, path, node);
    }
    if (!walk->stopped)
        take_text(walk, row, node, text);
}

/* Is an element of this row to be kept here? */
static gboolean
admit(Walk *walk, const Row *row, const char *name, const xmlNode *element, VmfXmlNode *parent)
{
    g_autofree gchar *safe = shown(name);
    if (row == NULL)
        refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element), NULL, "<%s> in <%s> %s", safe,
               parent != NULL ? parent->name : "the document", not_listed(walk));
    else if (row->rule->act == VMF_XML_REFUSE)
        refuse(walk, VMF_ERROR_UNSUPPORTED, xmlGetLineNo(element), NULL, "<%s> %s: %s", safe,
               not_allowed(walk), row->rule->reason);
    else if (row->rule->act == VMF_XML_KEEP && parent != NULL &&
             vmf_xml_node_find(parent, name) != NULL)
        refuse(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), NULL, "a second <%s> in <%s>", safe,
               parent->name);
    else
        return row->rule->act != VMF_XML_DROP;
    if (parent != NULL)
        parent->cut = TRUE;
    return FALSE;
}

static VmfXmlNode *
new_node(Walk *walk, const Row *row, xmlNode *element, const char *name, const char *path)
{
    VmfXmlNode *node = vmf_xml_node_new(name, (guint)xmlGetLineNo(element));
    for (xmlAttr *attribute = element->properties; attribute != NULL && !walk->stopped;
         attribute = attribute->next)
        take_attribute(walk, row, node, attribute);
    if (!walk->stopped)
        take_content(walk, row, element, row->rule->as != NULL ? row->rule->as : path, node);
    if (!walk->stopped && (row->rule->act != VMF_XML_KEEP_FULL || node->attributes->len > 0 ||
                           node->children->len > 0 || node->text != NULL))
        return node;
    vmf_xml_node_free(node);
    return NULL;
}

/* Levels need no limit of their own: the table has none deeper than its rows. */
static VmfXmlNode *
take_element(Walk *walk, xmlNode *element, const char *path, VmfXmlNode *parent)
{
    if (++walk->elements > VMF_XML_ELEMENTS_MAX) {
        stop(walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), "more than %d elements",
             VMF_XML_ELEMENTS_MAX);
        return NULL;
    }
    gboolean known;
    VmfXmlNode *node = NULL;
    g_autofree gchar *name = model_name(element, &known);
    g_autofree gchar *own = path[0] != '\0' ? g_strconcat(path, "/", name, NULL) : g_strdup(name);
    const Row *row = known ? find_row(walk->rules, own) : NULL;
    gsize outer = walk->path->len;
    g_autofree gchar *safe = shown(name);
    g_string_append_printf(walk->path, "%s%s", outer > 0 ? "/" : "", safe);
    if (!known) {
        refuse_namespace(walk, element);
        if (parent != NULL)
            parent->cut = TRUE;
    } else if (admit(walk, row, name, element, parent)) {
        node = new_node(walk, row, element, name, own);
        if (node != NULL && node->cut && parent != NULL)
            parent->cut = TRUE;
        if (row->rule->act == VMF_XML_DROP_FORM)
            g_clear_pointer(&node, vmf_xml_node_free);
    }
    g_string_truncate(walk->path, outer);
    return node;
}

VmfXmlNode *
vmf_xml_apply(const VmfXmlRules *rules, const VmfXmlContext *context, xmlDoc *doc, const char *root,
              GError **error)
{
    g_autoptr(GString) path = g_string_new(NULL);
    Walk walk = {.rules = rules, .context = context, .path = path, .error = error};
    xmlNode *element = xmlDocGetRootElement(doc);
    if (strcmp((const char *)element->name, root) != 0 || element->ns != NULL) {
        g_autofree gchar *safe = shown((const char *)element->name);
        stop(&walk, VMF_ERROR_PROTOCOL, xmlGetLineNo(element), "the root is <%s>%s, not <%s>", safe,
             element->ns != NULL ? " of a namespace" : "", root);
        return NULL;
    }
    VmfXmlNode *taken = take_element(&walk, element, "", NULL);
    if (walk.stopped)
        g_clear_pointer(&taken, vmf_xml_node_free);
    return taken;
}
