/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_PROCESS_H
#define BICORN_BASE_PROCESS_H

/* What the kernel tells about a process.  Any thread. */

#include <stdint.h>
#include <sys/types.h>

/* The memory that is resident, in bytes, as ps(1) shows it; 0: unknown. */
uint64_t process_memory(pid_t pid);

/* "TERM" of a signal's number; NULL: it has no name. */
const char *process_signal(int number);

#endif
