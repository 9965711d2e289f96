/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Who asks for the password when polkit wants one: pkttyagent(1), on the terminal of the command.
 *
 * A session may have an agent of its own, a desktop's, which is preferred (--fallback). One is started for this
 * process alone, and ends with it, whatever ends it.
 */

/**
 * vmf_cli_agent_start() - have somebody who can ask, from now until this process ends
 *
 * Returns when it is there, so that the next call finds it. Does nothing for root, who is never asked, without a
 * terminal, a second time, or where pkttyagent is not installed: polkit then says that it cannot ask.
 */
void vmf_cli_agent_start(void);
