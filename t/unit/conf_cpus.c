/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/cpus.h"

#include "files.h"

/* A tree of files as a process in a control group sees it. */
static char root[] = "/tmp/bicorn-cpus-XXXXXX";

static void
put(const char *path, const char *text)
{
	char name[PATH_MAX];

	snprintf(name, sizeof(name), "%s%s", root, path);
	for (char *c = name + strlen(root) + 1; *c != '\0'; c++)
		if (*c == '/') {
			*c = '\0';
			mkdir(name, 0755);
			*c = '/';
		}
	put_file(name, text);
}

static int
begin(void **state)
{
	(void)state;
	strcpy(root, "/tmp/bicorn-cpus-XXXXXX");
	return mkdtemp(root) != NULL ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	return remove_folder(root);
}

static void
test_nothing(void **state)
{
	(void)state;
	assert_int_equal(cpus_quota(root), UINT_MAX);
	put("/proc/self/cgroup", "");
	assert_int_equal(cpus_quota(root), UINT_MAX);
	put("/proc/self/cgroup", "garbage\n::\n0::\n0:x\n:::::\n1:cpu\n");
	assert_int_equal(cpus_quota(root), UINT_MAX);
}

static void
test_v2(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	assert_int_equal(cpus_quota(root), UINT_MAX);
	put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
	assert_int_equal(cpus_quota(root), 3);
	put("/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
	assert_int_equal(cpus_quota(root), 1);
	put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
	assert_int_equal(cpus_quota(root), 1);
	put("/sys/fs/cgroup/a/cpu.max", "0 0\n");
	assert_int_equal(cpus_quota(root), 3);
	put("/sys/fs/cgroup/a/cpu.max", "");
	assert_int_equal(cpus_quota(root), 3);
	put("/sys/fs/cgroup/a/cpu.max", "18446744073709551616 1\n");
	assert_int_equal(cpus_quota(root), 3);
}

/* In a container the mount is the group itself. */
static void
test_v2_container(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/docker/0123456789\n");
	put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
	assert_int_equal(cpus_quota(root), 2);
	put("/proc/self/cgroup", "0::/\n");
	assert_int_equal(cpus_quota(root), 2);
}

static void
test_v1(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n");
	put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus_quota(root), UINT_MAX);
	put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "400000\n");
	assert_int_equal(cpus_quota(root), 4);
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cpus_quota(root), 2);
}

static void
test_usable(void **state)
{
	cpu_set_t set;

	(void)state;
	assert_true(cpus_usable(1024) >= 1);
	assert_int_equal(cpus_usable(1), 1);
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_true(cpus_usable(1024) <= (unsigned)CPU_COUNT(&set));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, begin, end),
		cmocka_unit_test_setup_teardown(test_v2, begin, end),
		cmocka_unit_test_setup_teardown(test_v2_container, begin, end),
		cmocka_unit_test_setup_teardown(test_v1, begin, end),
		cmocka_unit_test(test_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
