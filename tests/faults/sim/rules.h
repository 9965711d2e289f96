/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The safety rules of the product, each of which the self-test switches off in turn. weave.py puts
 * the switches into copies of the product's files, by the table in rules.txt; a text of the table
 * that is no longer in its file fails the build.
 */

/** sim_off() - whether the rule of that name is switched off in this run */
#define sim_off(rule) (sim_rule_off == (rule))
extern int sim_rule_off;
