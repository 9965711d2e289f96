/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/catalogue.h"

static const char *const families[] = {
    "DIRECTORY AND IDENTITY", "FILE SHARE", "VIRTUAL MACHINE", "HOSTS", "JOBS",
};
G_STATIC_ASSERT(G_N_ELEMENTS(families) == VMF_FAMILY_JOB + 1);

gchar *
vmf_catalogue_to_help(void)
{
    GString *out = g_string_new("Checks (vmferry-checks(7) tells cause and cure of each):\n");
    for (gsize i = 0; i < vmf_catalogue_rows; i++)
        g_string_append_printf(out, "  %-8s  %s\n", vmf_catalogue[i].id, vmf_catalogue[i].title);
    return g_string_free(out, FALSE);
}

/* roff: no hyphenation of options, no escapes or requests from the texts. */
static void
append_roff(GString *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        g_string_append(out, "\\&");
    for (; *text; text++) {
        if (*text == '\\')
            g_string_append(out, "\\e");
        else if (*text == '-')
            g_string_append(out, "\\-");
        else
            g_string_append_c(out, *text);
    }
}

static void
append_paragraph(GString *out, const char *head, const char *text)
{
    if (head)
        g_string_append_printf(out, ".br\n.I %s:\n", head);
    append_roff(out, text);
    g_string_append_c(out, '\n');
}

static void
append_check(GString *out, const VmfDoctorEntry *check)
{
    g_string_append(out, ".TP\n.B \"");
    append_roff(out, check->id);
    g_string_append(out, "  ");
    append_roff(out, check->title);
    g_string_append(out, "\"\n");
    append_paragraph(out, NULL, check->judges);
    append_paragraph(out, "Cause", check->cause);
    append_paragraph(out, "Cure", check->cure);
}

static void
append_doctors(GString *out)
{
    g_string_append(out, ".SH HOST AND WAITING MOVES (DOCTOR)\n"
                         ".B vmferry doctor\n"
                         "tells of this host what the checks above with the same number ask of it, "
                         "and:\n");
    for (gsize i = 0; i < vmf_doctor_catalogue_rows; i++)
        append_check(out, &vmf_doctor_catalogue[i]);
}

gchar *
vmf_catalogue_to_man(void)
{
    GString *out = g_string_new(
        ".\\\" SPDX-License-Identifier: GPL-3.0-or-later\n"
        ".\\\" Made from policy/catalogue.c: tests/unit/policy/test-catalogue keeps it equal.\n"
        ".TH VMFERRY\\-CHECKS 7 \"\" vmferry\n"
        ".SH NAME\n"
        "vmferry\\-checks \\- what is judged before a VM moves, and what to do when it fails\n"
        ".SH DESCRIPTION\n"
        ".B vmferry check\n"
        "judges every check below and changes nothing;\n"
        ".B vmferry migrate\n"
        "does the same before it moves anything. A check passes, fails (which blocks), warns, does "
        "not apply, or\n"
        "is unknown: it could not be judged, which blocks too, unless the policy file says "
        "otherwise (group\n"
        "[checks] of\n"
        ".BR vmferry.conf (5)).\n");
    for (gsize i = 0; i < vmf_catalogue_rows; i++) {
        if (i == 0 || vmf_catalogue[i].family != vmf_catalogue[i - 1].family)
            g_string_append_printf(out, ".SH %s\n", families[vmf_catalogue[i].family]);
        const VmfCatalogueEntry *row = &vmf_catalogue[i];
        append_check(out,
                     &(VmfDoctorEntry){row->id, row->title, row->judges, row->cause, row->cure});
    }
    append_doctors(out);
    g_string_append(out, ".SH SEE ALSO\n.BR vmferry (1),\n.BR vmferry.conf (5)\n");
    return g_string_free(out, FALSE);
}
