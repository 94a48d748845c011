/* SPDX-License-Identifier: MIT */
/* Unix sockets: mode, stale ones, ones in use, what is removed and what not. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "net/listen.h"

static char dir[64];
static char path[96];
static char spec[128];

static int
make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/net_listen.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/s.sock", dir);
	snprintf(spec, sizeof(spec), "unix:%s", path);
	return 0;
}

/* Fails when a test left anything behind, such as a file moved aside. */
static int
remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int
open_as(const char *text, mode_t mask, struct listener **out, struct err *err)
{
	const struct listen_options o = {
		.backlog = 16,
		.umask = mask,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1,
	};

	return listen_open(text, &o, out, err);
}

static struct listener *
open_ok(const char *text, mode_t mask)
{
	struct listener *l;
	struct err err = { "" };

	if (open_as(text, mask, &l, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(l->is_unix);
	assert_int_equal(l->port, 0);
	return l;
}

static bool
connects(const char *text)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(un);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool ok;

	strcpy(un.sun_path, text);
	if (text[0] == '@') {
		un.sun_path[0] = '\0';
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    strlen(text));
	}
	ok = connect(fd, (struct sockaddr *)&un, len) == 0;
	fd_close(&fd);
	return ok;
}

static bool
exists(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void
mode_is(mode_t mask, mode_t mode)
{
	mode_t before = umask(077);
	struct listener *l = open_ok(spec, mask);
	struct stat st;

	assert_int_equal(umask(before), 077); /* is as it was */
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, mode);
	listen_close(&l, true);
	assert_false(exists());
}

static void
test_open(void **state)
{
	struct listener *l = open_ok(spec, 0);

	(void)state;
	assert_string_equal(l->name, spec);
	assert_string_equal(l->host, path);
	assert_true(connects(path));
	listen_close(&l, true);
	assert_false(exists());
	mode_is(0, 0777);
	mode_is(0117, 0660);
}

static void
test_owner(void **state)
{
	struct listen_options o = { .backlog = 1, .uid = getuid(),
		.gid = getgid() };
	struct listener *l;
	struct err err = { "" };

	(void)state;
	if (listen_open(spec, &o, &l, &err) != 0)
		fail_msg("%s", err.text);
	listen_close(&l, true);
	if (geteuid() == 0)
		return;
	o.uid = 0;
	assert_int_equal(listen_open(spec, &o, &l, &err), -1);
	assert_non_null(strstr(err.text, "cannot give it to user 0"));
	assert_false(exists());
}

static void
test_stale(void **state)
{
	struct listener *l = open_ok(spec, 0);

	(void)state;
	listen_close(&l, false);
	assert_true(exists());
	assert_false(connects(path));
	l = open_ok(spec, 0);
	assert_true(connects(path));
	listen_close(&l, true);
}

static void
test_in_use(void **state)
{
	struct listener *l = open_ok(spec, 0), *second;
	struct err err = { "" };

	(void)state;
	assert_int_equal(open_as(spec, 0, &second, &err), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(err.text, "in use"));
	assert_true(connects(path));
	listen_close(&l, true);
}

static void
test_no_socket(void **state)
{
	struct listener *l;
	struct err err = { "" };
	FILE *f = fopen(path, "w");

	(void)state;
	fclose(f);
	assert_int_equal(open_as(spec, 0, &l, &err), -1);
	assert_non_null(strstr(err.text, "no socket"));
	assert_true(exists());
	unlink(path);
	/* Nor through a link. */
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(open_as(spec, 0, &l, &err), -1);
	assert_true(exists());
	unlink(path);
	assert_int_equal(open_as("unix:/nonexistent/s", 0, &l, &err), -1);
	assert_non_null(strstr(err.text, "No such file"));
}

/* Another server's socket at our path is not ours to remove. */
static void
test_close_leaves_others(void **state)
{
	struct listener *l = open_ok(spec, 0), *other;

	(void)state;
	assert_int_equal(unlink(path), 0);
	other = open_ok(spec, 0);
	listen_close(&l, true);
	assert_true(connects(path));
	listen_close(&other, true);
}

static void
test_relative(void **state)
{
	struct listener *l;
	char *cwd = getcwd(NULL, 0);

	(void)state;
	assert_int_equal(chdir(dir), 0);
	l = open_ok("unix:s.sock", 0);
	assert_string_equal(l->name, "unix:s.sock");
	assert_int_equal(chdir("/"), 0);
	assert_true(connects(path));
	listen_close(&l, true);
	assert_false(exists());
	assert_int_equal(chdir(cwd), 0);
	free(cwd);
}

static void
test_abstract(void **state)
{
	struct listener *l, *second, *inherited;
	struct err err = { "" };
	char name[64], text[80], fd[32];

	(void)state;
	snprintf(name, sizeof(name), "@bicorn-test-%ld", (long)getpid());
	snprintf(text, sizeof(text), "unix:%s", name);
	l = open_ok(text, 0);
	assert_string_equal(l->name, text);
	assert_true(connects(name));
	assert_int_equal(open_as(text, 0, &second, &err), -1);
	assert_int_equal(errno, EADDRINUSE);

	snprintf(fd, sizeof(fd), "fd://%d", dup(l->fd));
	inherited = open_ok(fd, 0);
	assert_string_equal(inherited->name, text);
	listen_close(&inherited, true);
	listen_close(&l, true);
	assert_false(connects(name));
}

static void
test_inherited(void **state)
{
	struct listener *l = open_ok(spec, 0), *inherited;
	char fd[32];

	(void)state;
	snprintf(fd, sizeof(fd), "fd://%d", dup(l->fd));
	inherited = open_ok(fd, 0);
	assert_string_equal(inherited->name, spec);
	assert_string_equal(inherited->host, path);
	listen_close(&inherited, true);
	assert_true(exists()); /* whoever made it removes it */
	listen_close(&l, true);
}

/* One that takes all of the address, without a NUL at its end. */
static void
test_inherited_longest(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const size_t room = sizeof(a.sun_path);
	char longest[sizeof(a.sun_path) + 1], fd[32];
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct listener *l;

	(void)state;
	snprintf(longest, sizeof(longest), "%s/%0*d", dir,
	    (int)(room - strlen(dir) - 1), 7);
	memcpy(a.sun_path, longest, room);
	assert_int_equal(bind(sock, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(sock, 1), 0);
	snprintf(fd, sizeof(fd), "fd://%d", sock);
	l = open_ok(fd, 0);
	assert_string_equal(l->host, longest);
	listen_close(&l, true);
	unlink(longest);
}

#define SERVERS 8

/* Waits until all may begin, opens, says whether it could, and stays. */
static void
compete(int go, int report)
{
	struct listener *l;
	struct err err;
	char byte;

	if (read(go, &byte, 1) != 0)
		_exit(9);
	byte = open_as(spec, 0, &l, &err) == 0 ? 'y' : 'n';
	if (write(report, &byte, 1) != 1)
		_exit(9);
	pause();
	_exit(0);
}

/* Returns how many of the servers got the socket. */
static int
race(void)
{
	pid_t pids[SERVERS];
	int reports[2], go[2], winners = 0;
	char byte = 0;

	assert_int_equal(pipe(reports), 0);
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < SERVERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(go[1]);
			compete(go[0], reports[1]);
		}
	}
	close(go[1]);
	close(reports[1]);
	for (int i = 0; i < SERVERS; i++)
		if (read(reports[0], &byte, 1) == 1)
			winners += byte == 'y';
	winners += connects(path) ? 0 : 100;
	for (int i = 0; i < SERVERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(go[0]);
	close(reports[0]);
	return winners;
}

/* Many servers that find the same stale socket: one gets it, and keeps it. */
static void
test_race(void **state)
{
	struct listener *l = open_ok(spec, 0);

	(void)state;
	listen_close(&l, false);
	for (int i = 0; i < 20; i++)
		assert_int_equal(race(), 1);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_close_leaves_others),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_inherited_longest),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
