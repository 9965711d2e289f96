/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/xml-kinds.h"

#include <string.h>

#define NAME_MAX_BYTES 128
#define WORD_MAX_BYTES 1024
#define TEXT_MAX_BYTES ((gsize)64 * 1024)

static VmfValueVerdict
shape(gboolean right)
{
    return right ? VMF_VALUE_OK : VMF_VALUE_MALFORMED;
}

/* 1 to @max bytes, each alphanumeric or in @also. */
static gboolean
made_of(const char *value, const char *also, gsize max)
{
    gsize length = strlen(value);
    if (length == 0 || length > max)
        return FALSE;
    for (const char *at = value; *at != '\0'; at++) {
        if (!g_ascii_isalnum(*at) && strchr(also, *at) == NULL)
            return FALSE;
    }
    return TRUE;
}

static gboolean
has_control(const char *value, const char *but)
{
    for (const char *at = value; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (g_unichar_iscntrl(c) && (c > 127 || strchr(but, (int)c) == NULL))
            return TRUE;
    }
    return FALSE;
}

static VmfValueVerdict
judge_uint(const char *value, const VmfXmlContext *context)
{
    return shape(g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT64, NULL, NULL));
}

static VmfValueVerdict
judge_int(const char *value, const VmfXmlContext *context)
{
    return shape(g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, NULL, NULL));
}

static VmfValueVerdict
judge_hex(const char *value, const VmfXmlContext *context)
{
    if (g_str_has_prefix(value, "0x"))
        return shape(g_ascii_string_to_unsigned(value + 2, 16, 0, G_MAXUINT64, NULL, NULL));
    return judge_uint(value, context);
}

static VmfValueVerdict
judge_name(const char *value, const VmfXmlContext *context)
{
    return shape(value[0] != '-' && made_of(value, "_.+:@-", NAME_MAX_BYTES));
}

static VmfValueVerdict
judge_vm_name(const char *value, const VmfXmlContext *context)
{
    gsize length = strlen(value);
    return shape(length > 0 && length <= 200 && value[0] != '-' && strchr(value, '/') == NULL &&
                 strcmp(value, ".") != 0 && strcmp(value, "..") != 0 && !has_control(value, ""));
}

static VmfValueVerdict
judge_word(const char *value, const VmfXmlContext *context)
{
    return shape(strlen(value) <= WORD_MAX_BYTES && !has_control(value, ""));
}

static VmfValueVerdict
judge_text(const char *value, const VmfXmlContext *context)
{
    return shape(strlen(value) <= TEXT_MAX_BYTES && !has_control(value, "\t\n\r"));
}

static VmfValueVerdict
judge_uri(const char *value, const VmfXmlContext *context)
{
    return shape(strlen(value) <= 4096 && value[0] != '\0' && !has_control(value, "") &&
                 strchr(value, ' ') == NULL);
}

static VmfValueVerdict
judge_uuid(const char *value, const VmfXmlContext *context)
{
    return shape(g_uuid_string_is_valid(value));
}

static VmfValueVerdict
judge_mac(const char *value, const VmfXmlContext *context)
{
    gboolean right = strlen(value) == 17;
    for (guint i = 0; right && i < 17; i++)
        right = i % 3 == 2 ? value[i] == ':' : g_ascii_isxdigit(value[i]) != 0;
    return shape(right && (g_ascii_xdigit_value(value[1]) & 1) == 0); /* not a group address */
}

static VmfValueVerdict
judge_device(const char *value, const VmfXmlContext *context)
{
    return shape(made_of(value, "_.-", 15) && value[0] != '.' && value[0] != '-');
}

static VmfValueVerdict
judge_target(const char *value, const VmfXmlContext *context)
{
    gboolean right = value[0] != '\0' && strlen(value) <= 16;
    for (const char *at = value; right && *at != '\0'; at++)
        right = g_ascii_islower(*at);
    return shape(right);
}

static VmfValueVerdict
judge_cpuset(const char *value, const VmfXmlContext *context)
{
    gsize length = strlen(value);
    return shape(length > 0 && length <= 4096 && strspn(value, "0123456789,^-") == length);
}

static VmfValueVerdict
judge_address(const char *value, const VmfXmlContext *context)
{
    return shape(made_of(value, ".:%_-", 255));
}

static VmfValueVerdict
judge_zone(const char *value, const VmfXmlContext *context)
{
    return shape(made_of(value, "/_+-", 64) && value[0] != '/');
}

/* Aliases of libvirt's own making are made anew; an administrator's begin with "ua-". */
static VmfValueVerdict
judge_alias(const char *value, const VmfXmlContext *context)
{
    if (!g_str_has_prefix(value, "ua-"))
        return VMF_VALUE_DROPPED;
    return shape(made_of(value, "_-", NAME_MAX_BYTES));
}

static VmfValueVerdict
judge_adjustment(const char *value, const VmfXmlContext *context)
{
    return strcmp(value, "reset") == 0 ? VMF_VALUE_OK : judge_int(value, context);
}

/* A path that the other libvirt chose, or its administrator: this libvirt chooses its own. */
static VmfValueVerdict
judge_made_here(const char *value, const VmfXmlContext *context)
{
    return VMF_VALUE_DROPPED;
}

static VmfValueVerdict
listed(const char *const *list, const char *value)
{
    if (value[0] != '/' || has_control(value, ""))
        return VMF_VALUE_MALFORMED;
    return list != NULL && g_strv_contains(list, value) ? VMF_VALUE_OK : VMF_VALUE_REFUSED;
}

static VmfValueVerdict
judge_boot_file(const char *value, const VmfXmlContext *context)
{
    return listed(context->boot_files, value);
}

/* Without a list: what the distribution's firmware packages install, by plain file name. */
static VmfValueVerdict
judge_firmware(const char *value, const VmfXmlContext *context)
{
    static const char *const folders[] = {"/usr/share/OVMF/", "/usr/share/qemu/",
                                          "/usr/share/AAVMF/", "/usr/share/seabios/"};
    if (context->firmware != NULL)
        return listed(context->firmware, value);
    for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (g_str_has_prefix(value, folders[i]) &&
            made_of(value + strlen(folders[i]), "_.+-", NAME_MAX_BYTES) &&
            value[strlen(folders[i])] != '.')
            return VMF_VALUE_OK;
    }
    return listed(NULL, value);
}

static const VmfXmlKind kinds[] = {
    {"uint", judge_uint, "a number"},
    {"int", judge_int, "a whole number"},
    {"hex", judge_hex, "a number, decimal or with 0x"},
    {"name", judge_name, "a name"},
    {"vm-name", judge_vm_name, "a VM's name"},
    {"word", judge_word, "one line of text"},
    {"text", judge_text, "text"},
    {"uri", judge_uri, "a URI"},
    {"uuid", judge_uuid, "a UUID"},
    {"mac", judge_mac, "a station's MAC address"},
    {"device", judge_device, "the name of a network device"},
    {"target", judge_target, "a disk's target such as vda"},
    {"cpuset", judge_cpuset, "a list of CPUs"},
    {"address", judge_address, "an address or host name"},
    {"zone", judge_zone, "a time zone"},
    {"alias", judge_alias, "an alias such as ua-disk"},
    {"adjustment", judge_adjustment, "a number of seconds or 'reset'"},
    {"made-here", judge_made_here, "a path"},
    {"boot-file", judge_boot_file, "an absolute path"},
    {"firmware", judge_firmware, "an absolute path"},
};

const VmfXmlKind *
vmf_xml_kind(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    }
    return NULL;
}
