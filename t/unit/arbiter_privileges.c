/* SPDX-License-Identifier: MIT */
/* Giving up privileges; most of it needs some to give up. */
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/privileges.h"
#include "base/err.h"

#define NOBODY 65534
#define NO_NAME 54321 /* nobody's number in the user database */

/* What the child found: an exit code of 0 is all well. */
static int
in_child(int (*check)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(check());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
all_is(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t gr, ge, gs, groups[64];
	int n = getgroups(64, groups);

	getresuid(&r, &e, &s);
	getresgid(&gr, &ge, &gs);
	if (r != uid || e != uid || s != uid)
		return 2;
	if (gr != gid || ge != gid || gs != gid)
		return 3;
	for (int i = 0; i < n; i++)
		if (groups[i] == 0 && gid != 0)
			return 4;
	return setuid(0) == 0 || seteuid(0) == 0 ? 5 : 0;
}

static int
drop(uid_t uid, gid_t gid, struct err *err)
{
	const struct privileges p = { uid, gid, true, true };

	return privileges_drop(&p, err);
}

static int
to_nobody(void)
{
	gid_t extra[] = { 0, 4, 27 };
	struct err err;

	setgroups(3, extra);
	if (drop(NOBODY, NOBODY, &err) != 0)
		return 1;
	return all_is(NOBODY, NOBODY);
}

static int
to_a_number(void)
{
	struct err err;

	if (drop(NO_NAME, NO_NAME, &err) != 0)
		return 1;
	return all_is(NO_NAME, NO_NAME);
}

static int
group_only(void)
{
	struct err err;

	if (drop((uid_t)-1, NOBODY, &err) != 0)
		return 1;
	return getuid() == 0 && getegid() == NOBODY ? 0 : 2;
}

/* Whoever is not root may name himself and nobody else. */
static int
without_privileges(void)
{
	struct err err;

	if (geteuid() == 0 && drop(NOBODY, NOBODY, &err) != 0)
		return 1;
	if (drop(getuid(), getgid(), &err) != 0 ||
	    drop(getuid(), (gid_t)-1, &err) != 0)
		return 2;
	if (drop(getuid() + 1, getgid(), &err) == 0)
		return 3;
	return strstr(err.text, "user ") != NULL ? 0 : 4;
}

static void
test_nothing_asked(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(drop((uid_t)-1, (gid_t)-1, &err), 0);
}

static void
test_drop(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(to_nobody), 0);
	assert_int_equal(in_child(to_a_number), 0);
	assert_int_equal(in_child(group_only), 0);
}

static void
test_without_privileges(void **state)
{
	(void)state;
	assert_int_equal(in_child(without_privileges), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_asked),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_without_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
