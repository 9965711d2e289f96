/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sddl-names.h"

#include "policy/security-descriptor.h"

static const struct {
    const char *name;
    guint8 type;
} types[] = {
    {"A", VMF_ACE_ALLOWED},
    {"D", VMF_ACE_DENIED},
    {"AU", VMF_ACE_AUDIT},
    {"OA", VMF_ACE_ALLOWED_OBJECT},
    {"OD", VMF_ACE_DENIED_OBJECT},
    {"OU", VMF_ACE_AUDIT_OBJECT},
    {"XA", VMF_ACE_ALLOWED_CALLBACK},
    {"XD", VMF_ACE_DENIED_CALLBACK},
    {"ZA", VMF_ACE_ALLOWED_CALLBACK_OBJECT},
    {"XU", VMF_ACE_AUDIT_CALLBACK},
    {"ML", VMF_ACE_MANDATORY_LABEL},
    {"RA", VMF_ACE_RESOURCE_ATTRIBUTE},
    {"SP", VMF_ACE_SCOPED_POLICY},
    {"TL", VMF_ACE_PROCESS_TRUST_LABEL},
};

static const struct {
    char name[3];
    guint8 bit;
} flags[] = {
    {"OI", VMF_ACE_OBJECT_INHERIT},    {"CI", VMF_ACE_CONTAINER_INHERIT},
    {"NP", VMF_ACE_NO_PROPAGATE},      {"IO", VMF_ACE_INHERIT_ONLY},
    {"ID", VMF_ACE_INHERITED},         {"CR", 0x20},
    {"SA", VMF_ACE_SUCCESSFUL_ACCESS}, {"FA", VMF_ACE_FAILED_ACCESS},
};

static const struct {
    char name[3];
    guint32 mask;
} rights[] = {
    {"GA", 0x10000000}, {"GX", 0x20000000}, {"GW", 0x40000000}, {"GR", 0x80000000},
    {"RC", 0x00020000}, {"SD", 0x00010000}, {"WD", 0x00040000}, {"WO", 0x00080000},
    {"CC", 0x00000001}, {"DC", 0x00000002}, {"LC", 0x00000004}, {"SW", 0x00000008},
    {"RP", 0x00000010}, {"WP", 0x00000020}, {"DT", 0x00000040}, {"LO", 0x00000080},
    {"CR", 0x00000100}, {"FA", 0x001f01ff}, {"FR", 0x00120089}, {"FW", 0x00120116},
    {"FX", 0x001200a0}, {"KA", 0x000f003f}, {"KR", 0x00020019}, {"KW", 0x00020006},
    {"KX", 0x00020019}, {"NW", 0x00000001}, {"NR", 0x00000002}, {"NX", 0x00000004},
};

/* A SID, or a RID of the domain. */
static const struct {
    char name[3];
    guint16 rid;
    const char *sid;
} accounts[] = {
    {"AA", 0, "S-1-5-32-579"}, {"AC", 0, "S-1-15-2-1"},
    {"AN", 0, "S-1-5-7"},      {"AO", 0, "S-1-5-32-548"},
    {"AP", 525, NULL},         {"AS", 0, "S-1-18-1"},
    {"AU", 0, "S-1-5-11"},     {"BA", 0, "S-1-5-32-544"},
    {"BG", 0, "S-1-5-32-546"}, {"BO", 0, "S-1-5-32-551"},
    {"BU", 0, "S-1-5-32-545"}, {"CA", 517, NULL},
    {"CD", 0, "S-1-5-32-574"}, {"CG", 0, "S-1-3-1"},
    {"CN", 522, NULL},         {"CO", 0, "S-1-3-0"},
    {"CY", 0, "S-1-5-32-569"}, {"DA", 512, NULL},
    {"DC", 515, NULL},         {"DD", 516, NULL},
    {"DG", 514, NULL},         {"DU", 513, NULL},
    {"EA", 519, NULL},         {"ED", 0, "S-1-5-9"},
    {"EK", 527, NULL},         {"ER", 0, "S-1-5-32-573"},
    {"ES", 0, "S-1-5-32-576"}, {"HA", 0, "S-1-5-32-578"},
    {"HI", 0, "S-1-16-12288"}, {"IS", 0, "S-1-5-32-568"},
    {"IU", 0, "S-1-5-4"},      {"KA", 526, NULL},
    {"LA", 500, NULL},         {"LG", 501, NULL},
    {"LS", 0, "S-1-5-19"},     {"LU", 0, "S-1-5-32-559"},
    {"LW", 0, "S-1-16-4096"},  {"ME", 0, "S-1-16-8192"},
    {"MP", 0, "S-1-16-8448"},  {"MS", 0, "S-1-5-32-577"},
    {"MU", 0, "S-1-5-32-558"}, {"NO", 0, "S-1-5-32-556"},
    {"NS", 0, "S-1-5-20"},     {"NU", 0, "S-1-5-2"},
    {"OW", 0, "S-1-3-4"},      {"PA", 520, NULL},
    {"PO", 0, "S-1-5-32-550"}, {"PS", 0, "S-1-5-10"},
    {"PU", 0, "S-1-5-32-547"}, {"RA", 0, "S-1-5-32-575"},
    {"RC", 0, "S-1-5-12"},     {"RD", 0, "S-1-5-32-555"},
    {"RE", 0, "S-1-5-32-552"}, {"RM", 0, "S-1-5-32-580"},
    {"RO", 498, NULL},         {"RS", 553, NULL},
    {"RU", 0, "S-1-5-32-554"}, {"SA", 518, NULL},
    {"SI", 0, "S-1-16-16384"}, {"SO", 0, "S-1-5-32-549"},
    {"SS", 0, "S-1-18-2"},     {"SU", 0, "S-1-5-6"},
    {"SY", 0, "S-1-5-18"},     {"UD", 0, "S-1-5-84-0-0-0-0-0"},
    {"WD", 0, "S-1-1-0"},      {"WR", 0, "S-1-5-33"},
};

/* SDDL's words may be written in small letters. */
static gboolean
same_letters(const char *a, const char *b)
{
    return g_ascii_toupper(a[0]) == b[0] && g_ascii_toupper(a[1]) == b[1];
}

gint
vmf_sddl_type_code(const char *name, gsize size)
{
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (strlen(types[i].name) == size && g_ascii_strncasecmp(types[i].name, name, size) == 0)
            return types[i].type;
    return -1;
}

const char *
vmf_sddl_type_name(guint8 type)
{
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return NULL;
}

guint8
vmf_sddl_flag(const char *letters)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++)
        if (same_letters(letters, flags[i].name))
            return flags[i].bit;
    return 0;
}

const char *
vmf_sddl_flag_name(guint8 bit)
{
    for (gsize i = 0; i < G_N_ELEMENTS(flags); i++)
        if (flags[i].bit == bit)
            return flags[i].name;
    return NULL;
}

guint32
vmf_sddl_rights(const char *letters)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rights); i++)
        if (same_letters(letters, rights[i].name))
            return rights[i].mask;
    return 0;
}

VmfSddlName
vmf_sddl_account(const char *letters, const char *domain, VmfSid *sid)
{
    for (gsize i = 0; i < G_N_ELEMENTS(accounts); i++) {
        if (!same_letters(letters, accounts[i].name))
            continue;
        if (accounts[i].sid != NULL)
            return vmf_sid_parse(accounts[i].sid, sid) ? VMF_SDDL_NAME_FOUND
                                                       : VMF_SDDL_NAME_UNKNOWN;
        if (domain == NULL)
            return VMF_SDDL_NAME_NEEDS_DOMAIN;
        g_autofree gchar *text = vmf_sid_with_rid(domain, accounts[i].rid);
        return vmf_sid_parse(text, sid) ? VMF_SDDL_NAME_FOUND : VMF_SDDL_NAME_NEEDS_DOMAIN;
    }
    return VMF_SDDL_NAME_UNKNOWN;
}
