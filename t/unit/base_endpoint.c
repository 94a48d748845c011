/* SPDX-License-Identifier: MIT */
/* Addresses of those who collect logs and metrics, as they are written. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/facility.h"

static void
gives(const char *text, bool plain, enum endpoint_kind kind, const char *host,
    const char *port)
{
	struct endpoint e;
	struct err err;

	if (endpoint_parse(text, plain, "514", &e, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(e.kind, kind);
	assert_string_equal(host[0] == '/' ? e.path : e.host, host);
	assert_string_equal(e.port, port);
}

static void
test_good(void **state)
{
	(void)state;
	gives("udp://localhost", false, ENDPOINT_UDP, "localhost", "514");
	gives("udp://10.0.0.1:1", false, ENDPOINT_UDP, "10.0.0.1", "1");
	gives("tcp://[::1]:65535", false, ENDPOINT_TCP, "::1", "65535");
	gives("tcp://[::1]", false, ENDPOINT_TCP, "::1", "514");
	gives("unix:///dev/log", false, ENDPOINT_UNIX, "/dev/log", "");
	gives("unix:///a#dgram", false, ENDPOINT_UNIX_DGRAM, "/a", "");
	gives("unix:///a#stream", false, ENDPOINT_UNIX_STREAM, "/a", "");
	gives("localhost:8125", true, ENDPOINT_UDP, "localhost", "8125");
	gives("udp://localhost", true, ENDPOINT_UDP, "localhost", "514");
	gives("unix:///a", true, ENDPOINT_UNIX_DGRAM, "/a", "");
}

static void
test_bad(void **state)
{
	static const char *const bad[] = { "", "localhost", "udp://",
		"udp://:514", "udp://a:", "udp://a:0", "udp://a:65536",
		"udp://a:1x", "udp://[::1", "udp://[::1]x", "udp://a/b",
		"unix://", "unix://#dgram", "unix:///a#x", "http://a" };
	struct endpoint e;
	struct err err;
	char path[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(
		    endpoint_parse(bad[i], false, "514", &e, &err), -1);
		assert_non_null(strstr(err.text, "must be"));
	}
	assert_int_equal(endpoint_parse("tcp://a", true, "1", &e, &err), -1);
	assert_int_equal(endpoint_parse("unix:///a#stream", true, "1", &e,
			     &err), -1);
	memset(path, 'x', sizeof(path));
	memcpy(path, "unix:///", 8);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(endpoint_parse(path, false, "1", &e, &err), -1);
	assert_non_null(strstr(err.text, "at most"));
}

static void
test_facilities(void **state)
{
	unsigned n;

	(void)state;
	assert_true(facility_parse("user", &n));
	assert_int_equal(n, 1);
	assert_true(facility_parse("LOCAL7", &n));
	assert_int_equal(n, 23);
	assert_false(facility_parse("local8", &n));
	assert_int_equal(n, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_facilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
