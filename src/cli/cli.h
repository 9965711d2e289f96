/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "src/daemon/vmf-dbus.h"

/*
 * vmferry, the command. A client of org.vmferry1 and nothing else: no rights of its own.
 *
 * Exit status: what scripts rely on, the same for every verb.
 */
enum {
    VMF_EXIT_DONE = 0,
    VMF_EXIT_FAILED = 1, /* a check blocks, or the move failed with the VM running at the source */
    VMF_EXIT_USAGE = 2,
    VMF_EXIT_UNKNOWN = 3,   /* could not be judged: no vmferryd, no answer */
    VMF_EXIT_ATTENTION = 4, /* the VM is paused, or down, and needs attention */
};

/** VmfVerb - one verb: its name, the line of the overview, and its code; argv[0] is the verb */
typedef struct {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv);
} VmfVerb;

int vmf_verb_acl(int argc, char **argv);
int vmf_verb_attach(int argc, char **argv);
int vmf_verb_cancel(int argc, char **argv);
int vmf_verb_check(int argc, char **argv);
int vmf_verb_define(int argc, char **argv);
int vmf_verb_doctor(int argc, char **argv);
int vmf_verb_hosts(int argc, char **argv);
int vmf_verb_job(int argc, char **argv);
int vmf_verb_jobs(int argc, char **argv);
int vmf_verb_list(int argc, char **argv);
int vmf_verb_migrate(int argc, char **argv);
int vmf_verb_recover(int argc, char **argv);

/**
 * vmf_cli_parse() - options and exactly @n positional arguments
 * @options: (nullable): NULL-terminated
 *
 * Returns: %FALSE after it has printed what is wrong; the verb then ends with VMF_EXIT_USAGE.
 */
gboolean
vmf_cli_parse(int *argc, char ***argv, const GOptionEntry *options, const char *usage, int n);

/**
 * vmf_cli_find_manager() - vmferryd's proxy
 *
 * Returns: (transfer full) (nullable): %NULL with
 *   VMF_ERROR_UNREACHABLE it does not run, or there is no system bus
 */
VmfDbusManager *vmf_cli_find_manager(GError **error);

/** vmf_cli_manager() - the same; NULL after it has printed why */
VmfDbusManager *vmf_cli_manager(void);

/** vmf_cli_manager_to_act() - the same, where polkit may have to ask for a password */
VmfDbusManager *vmf_cli_manager_to_act(void);

/** vmf_cli_error_from_dbus() - what a call to vmferryd failed with, as VMF_ERROR and in our words */
void vmf_cli_error_from_dbus(GError **error);

/** vmf_cli_fail() - print @error (transfer full), return its exit status */
int vmf_cli_fail(GError *error);

/* Members of an a{sv}; "", %FALSE and 0 where there is none. */
const char *vmf_cli_text(GVariant *dict, const char *key);
gboolean vmf_cli_flag(GVariant *dict, const char *key);
guint vmf_cli_number(GVariant *dict, const char *key);

/**
 * vmf_cli_table() - print rows in columns as wide as they need
 * @rows: (element-type GStrv): each with as many cells as @head
 */
void vmf_cli_table(const char *const *head, GPtrArray *rows);

/** vmf_cli_json() - print {"schema": @schema, @name: @list} with @list an aa{sv} */
void vmf_cli_json(const char *schema, const char *name, GVariant *list);

/** vmf_cli_report_line() - what a "vmferry.migrate/1" object says, in a sentence. (transfer full) */
gchar *vmf_cli_report_line(JsonObject *report);

/** vmf_cli_report_status() - the exit status that goes with its outcome */
int vmf_cli_report_status(JsonObject *report);

/**
 * vmf_cli_report_empty() - a "vmferry.migrate/1" object of which no stage and no figure is known
 * @outcome: (nullable): %NULL: not known
 * @error: (nullable)
 *
 * Returns: (transfer full): its text.
 */
gchar *vmf_cli_report_empty(const char *vm, const char *from, const char *to, const char *outcome,
                            const GError *error);

/** vmf_cli_own_fqdn() - this host's name with its domain, as `hostname -f` says. (transfer full) */
gchar *vmf_cli_own_fqdn(void);
