/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/judge-access-private.h"

#include <string.h>

/* For a POSIX shell; left as it is where nothing needs quoting. */
static gchar *
quoted(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=@%,";
    return text[0] && strspn(text, plain) == strlen(text) ? g_strdup(text) : g_shell_quote(text);
}

typedef struct {
    gchar *service; /* //fs1.lab.test/vms, quoted */
    gchar *path;    /* web1/web1.qcow2, quoted */
    gchar *bare;    /* the same, not quoted */
    gchar *windows; /* \\fs1\vms\web1\web1.qcow2, quoted for cmd and PowerShell */
    gchar *share;   /* vms */
    gchar *server;
} Place;

static void
place_clear(Place *place)
{
    g_free(place->service);
    g_free(place->path);
    g_free(place->bare);
    g_free(place->windows);
    g_free(place->share);
    g_free(place->server);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static gboolean
find_place(const VmfAccessCase *item, Place *place)
{
    g_autofree gchar *path = NULL;
    if (!vmf_judge_split_url(item->url, &place->server, &place->share, &path))
        return FALSE;
    g_autofree gchar *service = g_strdup_printf("//%s/%s", place->server, place->share);
    g_autofree gchar *unc = g_strdup_printf("\\\\%.*s\\%s\\%s", (int)strcspn(place->server, "."),
                                            place->server, place->share, path);
    place->service = quoted(service);
    place->path = quoted(path);
    place->bare = g_strdup(path);
    g_strdelimit(unc, "/", '\\');
    place->windows = strchr(unc, ' ') ? g_strdup_printf("\"%s\"", unc) : g_steal_pointer(&unc);
    return TRUE;
}

/* Whom to let in: the allowed group, by name where it is known. */
typedef struct {
    gchar *samba;   /* LAB\VM Hosts, or its SID */
    gchar *windows; /* the same, "*SID" */
} Trustee;

static void
trustee_clear(Trustee *trustee)
{
    g_free(trustee->samba);
    g_free(trustee->windows);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Trustee, trustee_clear)

static void
find_trustee(const VmfAccessCase *item, Trustee *trustee)
{
    const VmfFactHost *host = item->judge->facts->source ? item->judge->facts->source
                                                         : item->judge->facts->destination;
    const VmfFactDirectory *directory = host ? &host->directory : NULL;
    if (directory && directory->domain[0] && directory->group_name[0]) {
        trustee->samba = g_strdup_printf("%s\\%s", directory->domain, directory->group_name);
        trustee->windows = g_strdup(trustee->samba);
    } else if (directory && directory->group_sid[0]) {
        trustee->samba = g_strdup(directory->group_sid);
        trustee->windows = g_strconcat("*", directory->group_sid, NULL);
    } else {
        trustee->samba = g_strdup(item->side.account);
        trustee->windows = g_strdup(item->side.account);
    }
}

/* ---- what the list would say after the commands ---- */

static gint
canonical_rank(const VmfAce *ace)
{
    gboolean denies = ace->type == VMF_ACE_DENIED || ace->type == VMF_ACE_DENIED_OBJECT ||
                      ace->type == VMF_ACE_DENIED_CALLBACK;
    return ((ace->flags & VMF_ACE_INHERITED) ? 2 : 0) + (denies ? 0 : 1);
}

/*
 * The list in canonical order, with an entry for the group. @removed: per entry of the file's
 * list. @origin: (out): per entry, its index there; G_MAXUINT for the group's.
 */
static VmfSecurityDescriptor *
imagine(const VmfAccessCase *item, const gboolean *removed, const char *group_sid, guint **origin)
{
    VmfSecurityDescriptor *sd = vmf_security_descriptor_new();
    sd->has_owner = item->sd->has_owner;
    sd->owner = item->sd->owner;
    sd->control = item->sd->control;
    sd->dacl.state = VMF_ACL_PRESENT;
    *origin = g_new(guint, item->sd->dacl.n_aces + 1);
    for (gint rank = 0; rank < 4; rank++) {
        if (rank == 1 && group_sid) {
            VmfAce *ace = vmf_acl_add(&sd->dacl);
            ace->mask = VMF_ACCESS_FULL;
            vmf_sid_parse(group_sid, &ace->sid);
            (*origin)[sd->dacl.n_aces - 1] = G_MAXUINT;
        }
        for (guint i = 0; i < item->sd->dacl.n_aces; i++)
            if (!removed[i] && canonical_rank(&item->sd->dacl.aces[i]) == rank) {
                *vmf_acl_add(&sd->dacl) = item->sd->dacl.aces[i];
                (*origin)[sd->dacl.n_aces - 1] = i;
            }
    }
    return sd;
}

/* Marks the entries that still deny when the group is let in. */
static void
find_denials(const VmfAccessCase *item, const char *group_sid, gboolean *removed)
{
    for (guint n = 0; n <= item->sd->dacl.n_aces; n++) {
        g_autofree guint *origin = NULL;
        g_autoptr(VmfSecurityDescriptor) sd = imagine(item, removed, group_sid, &origin);
        VmfAccess access = vmf_access_check(sd, item->token, item->desired);
        if (access.verdict == VMF_VERDICT_GRANT || access.ace < 0 ||
            origin[access.ace] == G_MAXUINT || canonical_rank(&sd->dacl.aces[access.ace]) % 2 != 0)
            return;
        removed[origin[access.ace]] = TRUE;
    }
}

static void
fix_denial(const VmfAccessCase *item, VmfFinding *finding, const Place *place, guint index)
{
    const VmfAce *ace = &item->sd->dacl.aces[index];
    g_autofree gchar *name = vmf_access_case_entry_name(item, index);
    g_autofree gchar *entry = g_strdup_printf("ACL:%s:DENIED/0x%x/0x%08x", name, ace->flags,
                                              ace->mask);
    g_autofree gchar *argument = quoted(entry);
    vmf_finding_fix(finding, "smbcacls %s %s -D %s", place->service, place->path, argument);
    vmf_finding_fix(finding, "icacls %s /remove:d \"%s%s\"", place->windows,
                    g_str_has_prefix(name, "S-1-") ? "*" : "", name);
}

static void
fix_missing(const VmfAccessCase *item, VmfFinding *finding, const Place *place)
{
    g_auto(Trustee) trustee = {0};
    find_trustee(item, &trustee);
    g_autofree gchar *entry = g_strdup_printf("ACL:%s:ALLOWED/%s/FULL", trustee.samba,
                                              item->folder ? "0x3" : "0x0");
    g_autofree gchar *argument = quoted(entry);
    vmf_finding_fix(finding, "smbcacls %s %s -a %s", place->service, place->path, argument);
    vmf_finding_fix(finding, "icacls %s /grant \"%s:%s(F)\"", place->windows, trustee.windows,
                    item->folder ? "(OI)(CI)" : "");
}

void
vmf_access_case_fix(const VmfAccessCase *item, VmfFinding *finding)
{
    g_auto(Place) place = {0};
    if (!find_place(item, &place))
        return;
    if (!item->unread && item->access.reason == VMF_ACCESS_READONLY) {
        g_autofree gchar *command = g_strdup_printf("setmode \"%s\" -r", place.bare);
        g_autofree gchar *argument = quoted(command);
        vmf_finding_fix(finding, "smbclient %s -c %s", place.service, argument);
        vmf_finding_fix(finding, "attrib -r %s", place.windows);
        return;
    }
    const VmfFactHost *host = item->judge->facts->source;
    const char *group = host ? host->directory.group_sid : "";
    if (item->unread || group[0] == '\0') {
        fix_missing(item, finding, &place);
        return;
    }
    g_autofree gboolean *removed = g_new0(gboolean, item->sd->dacl.n_aces + 1);
    find_denials(item, group, removed);
    for (guint i = 0; i < item->sd->dacl.n_aces; i++)
        if (removed[i])
            fix_denial(item, finding, &place, i);
    g_autofree guint *origin = NULL;
    g_autoptr(VmfSecurityDescriptor) without = imagine(item, removed, NULL, &origin);
    if (vmf_access_check(without, item->token, item->desired).verdict != VMF_VERDICT_GRANT)
        fix_missing(item, finding, &place);
}

void
vmf_access_share_fix(const VmfAccessCase *item, VmfFinding *finding)
{
    g_auto(Place) place = {0};
    g_auto(Trustee) trustee = {0};
    if (!find_place(item, &place))
        return;
    find_trustee(item, &trustee);
    g_autofree gchar *entry = g_strdup_printf("%s:ALLOWED/0x0/FULL", trustee.samba);
    g_autofree gchar *argument = quoted(entry);
    vmf_finding_fix(finding, "on %s (Samba): sharesec %s --view; sharesec %s -a %s", place.server,
                    place.share, place.share, argument);
    vmf_finding_fix(finding,
                    "on %s (Windows): Grant-SmbShareAccess -Name %s -AccountName \"%s\" "
                    "-AccessRight Full",
                    place.server, place.share, trustee.samba);
}
