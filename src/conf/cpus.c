/* SPDX-License-Identifier: MIT */
#include "conf/cpus.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/span.h"

/* Far more than any of these files holds. */
#define LARGEST_FILE 65536

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* quota of every period, in CPUs; what is not a limit is UINT_MAX. */
static unsigned
quota_cpus(struct span quota, struct span period)
{
	unsigned long long q, p;

	if (!span_uint(quota, &q) || !span_uint(period, &p) || p == 0)
		return UINT_MAX; /* "max", "-1" */
	q = q / p + (q % p != 0);
	if (q == 0)
		return 1;
	return q < UINT_MAX ? (unsigned)q : UINT_MAX;
}

static char *
slurp_in(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >=
	    (int)sizeof(path))
		return NULL;
	return fd_slurp(path, LARGEST_FILE, NULL);
}

static struct span
first_line(const char *text)
{
	return (struct span){ text, strcspn(text, "\n") };
}

/* cpu.max: "200000 100000" or "max 100000" */
static unsigned
limit_v2(const char *dir)
{
	char *text = slurp_in(dir, "cpu.max");
	struct span rest, quota;
	unsigned n = UINT_MAX;

	if (text != NULL) {
		rest = first_line(text);
		if (span_next(&rest, ' ', &quota))
			n = quota_cpus(quota, rest);
	}
	free(text);
	return n;
}

static unsigned
limit_v1(const char *dir)
{
	char *quota = slurp_in(dir, "cpu.cfs_quota_us");
	char *period = slurp_in(dir, "cpu.cfs_period_us");
	unsigned n = UINT_MAX;

	if (quota != NULL && period != NULL)
		n = quota_cpus(first_line(quota), first_line(period));
	free(quota);
	free(period);
	return n;
}

/*
 * The least limit of the group at path below the mount and of all that it is
 * in.  In a container the path may be the host's while the mount shows the
 * container's own group, so the mount itself counts too, and what is not
 * there does not.
 */
static unsigned
limit_of_group(const char *mount, struct span path,
    unsigned (*limit)(const char *dir))
{
	unsigned n = UINT_MAX;
	char dir[PATH_MAX];
	size_t base;
	int len;

	len = snprintf(dir, sizeof(dir), "%s%.*s", mount, (int)path.len,
	    path.ptr);
	if (len < 0 || len >= (int)sizeof(dir))
		return n;
	base = strlen(mount);
	for (;;) {
		n = least(n, limit(dir));
		if (strlen(dir) <= base)
			return n;
		*strrchr(dir, '/') = '\0';
	}
}

/* Whether "cpu" is in a list such as "cpu,cpuacct". */
static bool
lists_cpu(struct span controllers)
{
	struct span one;

	while (span_next(&controllers, ',', &one))
		if (span_eq(one, SPAN("cpu")))
			return true;
	return false;
}

/* A line of /proc/self/cgroup: "0::/path" or "4:cpu,cpuacct:/path". */
static unsigned
limit_of_line(const char *root, struct span line)
{
	static const char *const v1_names[] = { "cpu,cpuacct", "cpu" };
	struct span number, controllers;
	unsigned n = UINT_MAX;
	char mount[PATH_MAX];

	if (!span_next(&line, ':', &number) ||
	    !span_next(&line, ':', &controllers) || line.len == 0 ||
	    line.ptr[0] != '/')
		return n;
	if (controllers.len == 0) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
		return limit_of_group(mount, line, limit_v2);
	}
	for (size_t i = 0; i < 2 && lists_cpu(controllers); i++) {
		snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/%s", root,
		    v1_names[i]);
		n = least(n, limit_of_group(mount, line, limit_v1));
	}
	return n;
}

unsigned
cpus_quota(const char *root)
{
	char dir[PATH_MAX];
	unsigned n = UINT_MAX;
	struct span rest, line;
	char *text;

	snprintf(dir, sizeof(dir), "%s/proc/self", root);
	text = slurp_in(dir, "cgroup");
	rest = span_of(text);
	while (span_next(&rest, '\n', &line))
		n = least(n, limit_of_line(root, line));
	free(text);
	return n;
}

static unsigned
affinity(void)
{
	/* The kernel refuses a set that is smaller than its own. */
	for (int room = 1024; room <= 1 << 20; room *= 4) {
		cpu_set_t *set = CPU_ALLOC((size_t)room);
		size_t size = CPU_ALLOC_SIZE((size_t)room);
		int rc, count = 0;

		if (set == NULL)
			break;
		rc = sched_getaffinity(0, size, set);
		if (rc == 0)
			count = CPU_COUNT_S(size, set);
		CPU_FREE(set);
		if (rc == 0 && count > 0)
			return (unsigned)count;
		if (rc != 0 && errno != EINVAL)
			break;
	}
	return 1;
}

unsigned
cpus_usable(unsigned most)
{
	return least(most, least(affinity(), cpus_quota("")));
}
