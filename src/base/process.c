/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"

uint64_t
process_memory(pid_t pid)
{
	unsigned long long pages = 0;
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	text = fd_slurp(path, 4096, NULL);
	if (text == NULL || sscanf(text, "%*u %llu", &pages) != 1)
		pages = 0;
	free(text);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
