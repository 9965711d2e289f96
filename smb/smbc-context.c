/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/smbc-context.h"

#include "src/base/error.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

#define SMB_PORT 445

static const char configuration[] = "[global]\n"
                                    "client min protocol = SMB3_00\n"
                                    "client max protocol = SMB3_11\n"
                                    "client use kerberos = required\n"
                                    "client signing = required\n"
                                    "disable netbios = yes\n"
                                    "name resolve order = host\n"
                                    "host msdfs = no\n"
                                    "load printers = no\n";

/* No algorithm of that name: none is offered, and no server's choice is refused. */
static const char no_cipher[] = "client smb3 encryption algorithms = none\n";

/* Kerberos asks for nothing; libsmbclient insists on the function. */
static void
no_password(SMBCCTX *context, const char *server, const char *share, char *workgroup,
            int workgroup_size, char *user, int user_size, char *password, int password_size)
{
    password[0] = '\0';
}

static int
always_content(SMBCCTX *context, SMBCSRV *server)
{
    return 0;
}

SMBCCTX *
vmf_smbc_context_new(guint timeout_ms, VmfSmbcKind kind, gpointer user_data)
{
    static const struct {
        const char *min, *max;
        smbc_smb_encrypt_level level;
    } kinds[] = {
        [VMF_SMBC_SEALED] = {"SMB3_00", "SMB3_11", SMBC_ENCRYPTLEVEL_REQUIRE},
        [VMF_SMBC_CLEAR_311] = {"SMB3_11", "SMB3_11", SMBC_ENCRYPTLEVEL_NONE},
        [VMF_SMBC_CLEAR_210] = {"SMB2_02", "SMB2_10", SMBC_ENCRYPTLEVEL_NONE},
    };
    SMBCCTX *context = smbc_new_context();
    if (context == NULL)
        return NULL;
    smbc_setDebug(context, 0);
    smbc_setPort(context, SMB_PORT);
    smbc_setTimeout(context, (int)timeout_ms);
    smbc_setOptionUseKerberos(context, 1);
    smbc_setOptionFallbackAfterKerberos(context, 0);
    smbc_setOptionNoAutoAnonymousLogin(context, 1);
    smbc_setOptionUseCCache(context, 1);
    smbc_setOptionOneSharePerServer(context, 0);
    smbc_setOptionSmbEncryptionLevel(context, kinds[kind].level);
    smbc_setOptionUserData(context, user_data);
    smbc_setFunctionAuthDataWithContext(context, no_password);
    smbc_setFunctionCheckServer(context, always_content);
    if (smbc_init_context(context) == NULL ||
        !smbc_setOptionProtocols(context, kinds[kind].min, kinds[kind].max)) {
        smbc_free_context(context, 1);
        return NULL;
    }
    return context;
}

static gboolean
server_has_address(const char *server, GError **error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(server, NULL, &hints, &found);
    if (found != NULL)
        freeaddrinfo(found);
    if (code != 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "the file server '%s' has no address: %s; check the name and this host's DNS",
                    server, gai_strerror(code));
    return code == 0;
}

static gboolean
ticket_is_usable(const char *server, VmfTicketTimes *times, GError **error)
{
    if (!vmf_ticket_times_read(server, times, error))
        return FALSE;
    gint64 left = times->end - g_get_real_time() / G_USEC_PER_SEC;
    if (left >= VMF_TICKET_MIN_LEFT_S)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_AUTH,
                "the Kerberos ticket for the file server '%s' ends in %" G_GINT64_FORMAT
                " s, too soon to be used: vmferryd renews it; see its log for why it has not",
                server, left);
    return FALSE;
}

gboolean
vmf_smbc_server_is_ready(const char *server, VmfTicketTimes *times, GError **error)
{
    return server_has_address(server, error) && ticket_is_usable(server, times, error);
}

gboolean
vmf_smbc_configure(const char *work_dir, gboolean clear, GError **error)
{
    g_autofree gchar *folder = g_build_filename(work_dir, ".smb", NULL);
    g_autofree gchar *path = g_build_filename(folder, "smb.conf", NULL);
    g_autofree gchar *text = g_strconcat(configuration, clear ? no_cipher : "", NULL);
    g_autoptr(GError) cause = NULL;

    if (g_mkdir_with_parents(folder, 0700) == 0 && g_file_set_contents(path, text, -1, &cause) &&
        g_setenv("HOME", work_dir, TRUE))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot write '%s': %s", path,
                cause != NULL ? cause->message : g_strerror(errno));
    return FALSE;
}
