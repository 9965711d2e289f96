/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The names in libsmbclient's text of a descriptor, remembered. Pure.
 *
 * "system.nt_sec_desc.*+" has "LAB\VM Hosts" where "system.nt_sec_desc.*" has a SID, in the same
 * places, and costs a question to the server's name service for each. The files of one VM name the
 * same few: once both texts of one file are known, those of the next can be written without asking.
 */

/** vmf_descriptor_names_new() - Returns: (transfer full): an empty memory, SID → name */
GHashTable *vmf_descriptor_names_new(void);

/**
 * vmf_descriptor_names_learn() - from both texts of one descriptor
 *
 * Nothing is learned from texts that are not of one shape.
 */
void vmf_descriptor_names_learn(GHashTable *known, const char *sids, const char *names);

/**
 * vmf_descriptor_names_write() - the text with names
 *
 * Returns: (transfer full): %NULL when a SID in it is not known yet
 */
gchar *vmf_descriptor_names_write(GHashTable *known, const char *sids);
