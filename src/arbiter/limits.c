/* SPDX-License-Identifier: MIT */
#include "arbiter/limits.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/worker.h"

void
limits_raise(const struct settings *s)
{
	rlim_t needed = (rlim_t)(s->worker_connections + worker_files(s));
	struct rlimit now, wanted;

	if (getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur >= needed)
		return;
	wanted = (struct rlimit){ needed,
		now.rlim_max < needed ? needed : now.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	/* Not ours to raise: up to where it may go. */
	now.rlim_cur = now.rlim_max;
	setrlimit(RLIMIT_NOFILE, &now);
	log_warning("worker_connections = %lld: that needs %llu open files, "
		    "and the limit (ulimit -n) is %llu: workers hold %lld "
		    "connections",
	    (long long)s->worker_connections, (unsigned long long)needed,
	    (unsigned long long)now.rlim_cur, (long long)worker_room(s));
}

/* A socket that is closed takes what waits in it along, or not. */
void
limits_look(const struct settings *s)
{
	char *text;

	if (!s->reuse_port)
		return;
	text = fd_slurp("/proc/sys/net/ipv4/tcp_migrate_req", 16, NULL);
	if (text == NULL || text[0] != '1')
		log_info("reuse_port: a worker that leaves may take a new "
			 "connection with it; with net.ipv4.tcp_migrate_req "
			 "= 1 the kernel moves it to another");
	free(text);
}
