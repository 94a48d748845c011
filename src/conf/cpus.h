/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_CPUS_H
#define BICORN_CONF_CPUS_H

/*
 * How many CPUs this process may use: what its affinity allows and what the
 * CPU quota of its control groups (version 1 or 2) amounts to, rounded up,
 * whichever is less.  At least 1, at most `most`.
 */
unsigned cpus_usable(unsigned most);

/*
 * The quota alone, for a process that sees its files below root ("" is the
 * real one).  UINT_MAX: no limit.
 */
unsigned cpus_quota(const char *root);

#endif
