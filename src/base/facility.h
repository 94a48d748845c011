/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_FACILITY_H
#define BICORN_BASE_FACILITY_H

#include <stdbool.h>

/*
 * The number of a facility of syslog by its name: "user", "local0"; false,
 * and that of "user", when there is none.  Pure.
 */
bool facility_parse(const char *name, unsigned *out);

#endif
