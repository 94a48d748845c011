/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_PROBE_H
#define BICORN_BASE_PROBE_H

/*
 * Points that bpftrace(8), perf(1) and others can watch in a running process
 * (USDT): etc/bicorn.bt shows how.  Nothing but a nop while nobody does, and
 * nothing at all in a build without <sys/sdt.h>.
 */

#include <stdint.h>

#ifdef HAVE_SDT
void probe_accept(int fd);
void probe_enqueue(int fd);
void probe_dequeue(int fd, int64_t us);
void probe_respond(int fd, unsigned status, int64_t us);
void probe_close(int fd);
#else
#define probe_accept(fd) ((void)0)
#define probe_enqueue(fd) ((void)0)
#define probe_dequeue(fd, us) ((void)0)
#define probe_respond(fd, status, us) ((void)0)
#define probe_close(fd) ((void)0)
#endif

#endif
