/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/rules.h"

static void
takes(enum setting_id id, const char *text)
{
	struct err err = { "" };

	if (rules_check(&setting_table[id], text, &err) != 0)
		fail_msg("%s = %s: %s", setting_table[id].name, text, err.text);
}

static void
refuses(enum setting_id id, const char *text)
{
	struct err err = { "" };

	if (rules_check(&setting_table[id], text, &err) == 0)
		fail_msg("%s = %s is taken", setting_table[id].name, text);
	assert_true(err.text[0] != '\0');
}

static void
test_names_of_fields(void **state)
{
	char name[130];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[129] = '\0';
	refuses(SETTING_request_id, name);
	takes(SETTING_remote_addr_header, name);
	name[128] = '\0';
	takes(SETTING_request_id, name);
	refuses(SETTING_request_id, "X Request");
}

static void
test_bind(void **state)
{
	static const char *const good[] = { "localhost", "127.0.0.1",
		"127.0.0.1:8000", ":8000", ":0", "[::1]", "[::1]:8000",
		"[fe80::1%eth0]:80", "tcp://localhost:80", "tcp://[::1]:80",
		"unix:/run/x.sock", "unix:x", "unix:@name", "UNIX:/x", "fd://3",
		"fd://1048576",
		"fd://web.socket",
		"my-host.example.com:65535" };
	static const char *const bad[] = { "", "8000", "a:", "a:b", "a:65536",
		"a:-1", "a: 80", "a b:80", "/run/x.sock", "::1", "::1:80",
		"[::1", "[]:80", "[::1]80", "[::1]:", "tcp://", "unix:",
		"unix:@", "fd://", "fd://a b", "fd://a#b", "fd://-1",
		"fd://99999999999", "fd://1048577",
		"http://a:80", "a:80\n", "a:080000", "a:99999999999999999999" };
	char path[200];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		takes(SETTING_bind, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		refuses(SETTING_bind, bad[i]);
	memset(path, 'x', sizeof(path));
	memcpy(path, "unix:", 5);
	path[5 + 107] = '\0';
	takes(SETTING_bind, path);
	path[5 + 107] = 'x';
	path[5 + 108] = '\0';
	refuses(SETTING_bind, path);
}

static void
test_words(void **state)
{
	(void)state;
	takes(SETTING_loglevel, "debug");
	takes(SETTING_loglevel, "CRITICAL");
	takes(SETTING_loglevel, "warn");
	refuses(SETTING_loglevel, "warned");
	refuses(SETTING_loglevel, "");
	takes(SETTING_header_map, "drop");
	takes(SETTING_header_map, "refuse");
	takes(SETTING_header_map, "dangerous");
	refuses(SETTING_header_map, "Drop");
}

static void
test_names_and_values(void **state)
{
	(void)state;
	takes(SETTING_raw_env, "A=");
	takes(SETTING_raw_env, "A=b=c,d");
	refuses(SETTING_raw_env, "A");
	refuses(SETTING_raw_env, "=b");
	refuses(SETTING_raw_env, "");
	takes(SETTING_forwarded_allow_ips, "*");
	takes(SETTING_forwarded_allow_ips, "10.0.0.0/8");
	takes(SETTING_forwarded_allow_ips, "::1");
	refuses(SETTING_forwarded_allow_ips, "10.0.0.1/8");
	refuses(SETTING_forwarded_allow_ips, "localhost");
	refuses(SETTING_forwarded_allow_ips, "10.0.0.0/33");
	takes(SETTING_secure_scheme_headers, "X-FORWARDED-PROTO=https");
	refuses(SETTING_secure_scheme_headers, "X-FORWARDED-PROTO");
	refuses(SETTING_secure_scheme_headers, "X-FORWARDED-PROTO=");
	refuses(SETTING_secure_scheme_headers, "X FORWARDED=https");
	takes(SETTING_forwarder_headers, "SCRIPT_NAME");
	refuses(SETTING_forwarder_headers, "SCRIPT NAME");
	refuses(SETTING_forwarder_headers, "A:");
	takes(SETTING_health_path, "/health");
	refuses(SETTING_health_path, "health");
	refuses(SETTING_health_path, "/health?x");
	takes(SETTING_root_path, "/app");
	refuses(SETTING_root_path, "app");
	refuses(SETTING_root_path, "/a%20b");
	takes(SETTING_proc_name, "anything at all");
}

static void
test_umask(void **state)
{
	static const struct {
		const char *text;
		unsigned mode;
	} good[] = { { "0", 0 }, { "022", 022 }, { "0022", 022 },
		{ "0o22", 022 }, { "0O22", 022 }, { "18", 022 },
		{ "0x12", 022 }, { "0777", 0777 }, { "511", 0777 } };
	static const char *const bad[] = { "", "0o", "0x", "8a", "09", "01000",
		"512", "-1", "+1", " 1", "0x1FF0", "0b1", "x", "99999999999" };
	mode_t mode;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(rules_umask(good[i].text, &mode));
		assert_int_equal(mode, good[i].mode);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(rules_umask(bad[i], &mode));
}

/* Of a socket: octal, and no longer than it has to be. */
static void
test_mode(void **state)
{
	mode_t mode;

	(void)state;
	assert_true(rules_mode("660", &mode));
	assert_int_equal(mode, 0660);
	assert_true(rules_mode("0777", &mode));
	assert_int_equal(mode, 0777);
	assert_true(rules_mode("0", &mode));
	assert_int_equal(mode, 0);
	assert_false(rules_mode("", &mode));
	assert_false(rules_mode("680", &mode));
	assert_false(rules_mode("1000", &mode));
	assert_false(rules_mode("00660", &mode));
	assert_false(rules_mode("0000000000000000000000000000000660", &mode));
}

static void
test_printable(void **state)
{
	char text[258];

	(void)state;
	takes(SETTING_server_header, "a ~");
	refuses(SETTING_server_header, "\xc3\xa4");
	refuses(SETTING_server_header, "a\tb");
	refuses(SETTING_server_header, "a\x7f");
	memset(text, 'x', sizeof(text));
	text[256] = '\0';
	takes(SETTING_server_header, text);
	text[256] = 'x';
	text[257] = '\0';
	refuses(SETTING_server_header, text);
}

static void
test_proxy_protocol(void **state)
{
	static const struct {
		const char *text;
		unsigned versions;
		bool required;
	} known[] = { { "off", 0, false }, { "false", 0, false },
		{ "auto", 3, false }, { "true", 3, false }, { "v1", 1, false },
		{ "v2", 2, false }, { "required", 3, true },
		{ "required-v1", 1, true }, { "required-v2", 2, true } };
	unsigned versions;
	bool required;

	(void)state;
	assert_int_equal(RULES_PROXY_V1, 1);
	assert_int_equal(RULES_PROXY_V2, 2);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		assert_true(rules_proxy_protocol(known[i].text, &versions,
		    &required));
		assert_int_equal(versions, known[i].versions);
		assert_int_equal(required, known[i].required);
	}
	assert_false(rules_proxy_protocol("V1", &versions, &required));
	assert_false(rules_proxy_protocol("v3", &versions, &required));
	refuses(SETTING_proxy_protocol, "yes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_fields),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_names_and_values),
		cmocka_unit_test(test_umask),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_proxy_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
