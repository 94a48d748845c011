/* SPDX-License-Identifier: MIT */
#include "base/probe.h"

#ifdef HAVE_SDT
#include <sys/sdt.h>

void
probe_accept(int fd)
{
	DTRACE_PROBE1(bicorn, accept, fd);
}

void
probe_enqueue(int fd)
{
	DTRACE_PROBE1(bicorn, enqueue, fd);
}

void
probe_dequeue(int fd, int64_t us)
{
	DTRACE_PROBE2(bicorn, dequeue, fd, us);
}

void
probe_respond(int fd, unsigned status, int64_t us)
{
	DTRACE_PROBE3(bicorn, respond, fd, status, us);
}

void
probe_close(int fd)
{
	DTRACE_PROBE1(bicorn, close, fd);
}
#endif
