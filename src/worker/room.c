/* SPDX-License-Identifier: MIT */
/* How many connections fit into a worker. */
#include <sys/resource.h>

#include "conf/conf.h"
#include "worker/worker.h"

/*
 * Besides the clients: logs, listeners, modules, what an application opens;
 * for each thread a spool file, a file that is sent, a database.
 */
#define FDS_OTHER 256
#define FDS_THREAD 4

int64_t
worker_files(const struct settings *s)
{
	return FDS_OTHER + s->threads * FDS_THREAD;
}

int64_t
worker_room(const struct settings *s)
{
	int64_t others = worker_files(s), files;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
	    limit.rlim_cur >= (rlim_t)(s->worker_connections + others))
		return s->worker_connections;
	files = (int64_t)limit.rlim_cur;
	if (others > files / 2)
		others = files / 2;
	files -= others;
	return files < s->worker_connections ? files : s->worker_connections;
}
