/* SPDX-License-Identifier: MIT */
/* The text of bind settings. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/listen.h"
#include "net/listen_private.h"

static void
tcp(const char *spec, const char *host, unsigned port)
{
	struct target t;
	struct err err = { "" };

	if (target_parse(spec, &t, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(t.kind, TARGET_TCP);
	assert_string_equal(t.host, host);
	assert_int_equal(t.port, port);
}

static void
test_tcp(void **state)
{
	(void)state;
	tcp("127.0.0.1:9000", "127.0.0.1", 9000);
	tcp("127.0.0.1", "127.0.0.1", 8000);
	tcp(":9000", "", 9000);
	tcp("tcp://0.0.0.0:80", "0.0.0.0", 80);
	tcp("TCP://localhost:80", "localhost", 80);
	tcp("localhost", "localhost", 8000);
	tcp("[::1]:9000", "::1", 9000);
	tcp("[::1]", "::1", 8000);
	tcp("[::]:0", "::", 0);
	tcp("tcp://[fe80::1%lo]:65535", "fe80::1%lo", 65535);
	tcp("a.b-c_d:1", "a.b-c_d", 1);
}

static void
local(const char *spec, const char *path)
{
	struct target t;
	struct err err = { "" };

	if (target_parse(spec, &t, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(t.kind, TARGET_UNIX);
	assert_string_equal(t.path, path);
}

static void
test_unix_and_fd(void **state)
{
	struct target t;

	(void)state;
	local("unix:/run/x.sock", "/run/x.sock");
	local("unix:///run/x.sock", "/run/x.sock");
	local("unix:x.sock", "x.sock");
	local("unix://x.sock", "x.sock");
	local("unix:@name", "@name");
	assert_int_equal(target_parse("fd://3", &t, NULL), 0);
	assert_int_equal(t.kind, TARGET_FD);
	assert_int_equal(t.fd, 3);
	assert_int_equal(target_parse("fd://14#web:3", &t, NULL), 0);
	assert_int_equal(t.fd, 14);
}

static bool
is_local(const char *spec)
{
	struct err err = { "" };
	bool yes = false;

	assert_int_equal(listen_check(spec, &yes, &err), 0);
	return yes;
}

static void
test_local(void **state)
{
	(void)state;
	assert_true(is_local("127.0.0.1:80"));
	assert_true(is_local("127.8.9.10"));
	assert_true(is_local("[::1]:80"));
	assert_true(is_local("localhost:80"));
	assert_true(is_local("unix:/run/x"));
	assert_true(is_local("fd://3"));
	assert_false(is_local(":80"));
	assert_false(is_local("0.0.0.0:80"));
	assert_false(is_local("10.0.0.1:80"));
	assert_false(is_local("[::]:80"));
	assert_false(is_local("[2001:db8::1]:80"));
}

static void
refuses(const char *spec, const char *part)
{
	struct err err = { "" };
	bool is_local = true;

	errno = 0;
	assert_int_equal(listen_check(spec, &is_local, &err), -1);
	assert_false(is_local);
	assert_int_equal(errno, EINVAL);
	assert_true(strncmp(err.text, "bind = ", 7) == 0);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void
test_errors(void **state)
{
	char path[200] = "unix:/", host[300];

	(void)state;
	refuses("", "no address");
	refuses("tcp://", "no address");
	refuses("8000", "written :8000");
	refuses("127.0.0.1:", "port");
	refuses("127.0.0.1:x", "port");
	refuses("127.0.0.1:65536", "0 to 65535");
	refuses("127.0.0.1:-1", "port");
	refuses("127.0.0.1:80 ", "port");
	refuses("127.0.0.1:+80", "port");
	refuses("::1", "[ADDRESS]:PORT");
	refuses("::1:8000", "[ADDRESS]:PORT");
	refuses("[::1", "[ADDRESS]:PORT");
	refuses("[]:80", "[ADDRESS]:PORT");
	refuses("[::1]80", "[ADDRESS]:PORT");
	refuses("[127.0.0.1]:80", "no v6 address");
	refuses("[zz]:80", "no v6 address");
	refuses("/run/x.sock", "unix:PATH");
	refuses("a b:80", "no host");
	refuses("http://127.0.0.1:80", "");
	refuses("unix:", "takes a path");
	refuses("unix:@", "takes a path");
	refuses("fd://", "number");
	refuses("fd://x", "no socket of that name");
	refuses("fd://-1", "no socket");
	refuses("fd://1048577", "number");
	refuses("fd://4294967296", "number");
	memset(path + 6, 'x', 107);
	refuses(path,
	    "the path has 108 bytes; a unix socket's has 107 at most");
	path[5 + 107] = '\0';
	local(path, path + 5);
	memset(path + 6, 'x', 120);
	refuses(path,
	    "the path has 121 bytes; a unix socket's has 107 at most");
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	refuses(host, "too long");
	host[0] = '[';
	strcpy(host + 1 + LISTEN_HOST_MAX, "]:80");
	refuses(host, "no v6 address");
	strcpy(host + 1 + LISTEN_HOST_MAX, "h]:80");
	refuses(host, "[ADDRESS]:PORT");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_unix_and_fd),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
