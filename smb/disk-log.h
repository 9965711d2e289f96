/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/**
 * vmf_disk_log_open() - send GLib's messages to a file, one line each with its time
 * @path: is appended to; %NULL, or when it cannot be opened: standard error
 */
void vmf_disk_log_open(const char *path);
