/* SPDX-License-Identifier: MIT */
#include "conf/rules.h"

#include <string.h>
#include <sys/un.h>

#include "base/addr.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "base/facility.h"
#include "base/span.h"

typedef int (*rule_fn)(const char *text, struct err *err);

static int
must_be(struct err *err, const char *what)
{
	err_set(err, "must be %s", what);
	return -1;
}

static bool
has_prefix(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return span_ieq((struct span){ text, strnlen(text, len) },
	    (struct span){ prefix, len });
}

/* --- addresses ----------------------------------------------------------- */

static int
check_port(const char *text, struct err *err)
{
	unsigned long long port;

	if (span_uint(span_of(text), &port) && port <= 65535)
		return 0;
	return must_be(err, "an address with a port of 0..65535");
}

static int
check_unix(const char *path, struct err *err)
{
	struct sockaddr_un sun;

	if (*path == '\0' || strcmp(path, "@") == 0)
		return must_be(err, "unix:PATH");
	if (strlen(path) >= sizeof(sun.sun_path)) {
		err_set(err, "the path of a unix socket has at most %zu bytes",
		    sizeof(sun.sun_path) - 1);
		return -1;
	}
	return 0;
}

static int
check_fd(const char *number, struct err *err)
{
	unsigned long long fd;

	if (span_uint(span_of(number), &fd) && fd <= 1 << 20)
		return 0;
	/* The name of one that the service manager opens. */
	if (strspn(number, "0123456789-") != strlen(number) &&
	    number[strcspn(number, ":#/ \t\r\n")] == '\0')
		return 0;
	return must_be(err, "fd://N, N being the number of an open socket, "
			    "or fd://NAME");
}

/* "[v6]" or "[v6]:PORT" */
static int
check_bracketed(const char *text, struct err *err)
{
	const char *end = strchr(text, ']');

	if (end == NULL || end == text + 1 || (end[1] != '\0' && end[1] != ':'))
		return must_be(err, "[ADDRESS]:PORT");
	return end[1] == ':' ? check_port(end + 2, err) : 0;
}

static int
check_host_port(const char *text, struct err *err)
{
	const char *colon = strchr(text, ':');
	unsigned long long number;

	if (*text == '[')
		return check_bracketed(text, err);
	if (*text == '\0' || text[strcspn(text, " \t\r\n/")] != '\0')
		return must_be(err, "HOST:PORT, [v6]:PORT, unix:PATH or "
				    "fd://N");
	if (colon == NULL && span_uint(span_of(text), &number)) {
		err_set(err, "a port alone is written :%s", text);
		return -1;
	}
	if (colon == NULL)
		return 0;
	if (strchr(colon + 1, ':') != NULL)
		return must_be(err, "[ADDRESS]:PORT for an IPv6 address");
	return check_port(colon + 1, err);
}

/* The text only: net/listen.h knows whether there is such an address. */
static int
check_bind(const char *text, struct err *err)
{
	if (has_prefix(text, "unix:"))
		return check_unix(text + strlen("unix:"), err);
	if (has_prefix(text, "fd://"))
		return check_fd(text + strlen("fd://"), err);
	if (has_prefix(text, "tcp://"))
		text += strlen("tcp://");
	return check_host_port(text, err);
}

/* "10.0.0.0/8", "::1", "*" */
static int
check_network(const char *text, struct err *err)
{
	struct addr_list *list = NULL;
	int rc = addr_list_new(&text, 1, &list, err);

	addr_list_free(&list);
	return rc;
}

/* --- words --------------------------------------------------------------- */

static const char *const log_levels[] = { "debug", "info", "warning",
	"error", "critical" };

bool
rules_log_level(const char *text, unsigned *level_out)
{
	*level_out = 1;
	if (span_ieq(span_of(text), span_of("warn"))) /* as in Python */
		text = "warning";
	for (unsigned i = 0; i < sizeof(log_levels) / sizeof(*log_levels); i++)
		if (span_ieq(span_of(text), span_of(log_levels[i]))) {
			*level_out = i;
			return true;
		}
	return false;
}

static int
check_log_level(const char *text, struct err *err)
{
	unsigned level;

	if (rules_log_level(text, &level))
		return 0;
	return must_be(err, "debug, info, warning, error or critical");
}

static int
check_log_format(const char *text, struct err *err)
{
	if (strcmp(text, "text") == 0 || strcmp(text, "json") == 0)
		return 0;
	return must_be(err, "text or json");
}

static int
check_engine(const char *text, struct err *err)
{
	if (strcmp(text, "auto") == 0 || strcmp(text, "poll") == 0 ||
	    strcmp(text, "inotify") == 0)
		return 0;
	return must_be(err, "auto, inotify or poll");
}

static int
check_header_map(const char *text, struct err *err)
{
	if (strcmp(text, "drop") == 0 || strcmp(text, "refuse") == 0 ||
	    strcmp(text, "dangerous") == 0)
		return 0;
	return must_be(err, "drop, refuse or dangerous");
}

bool
rules_proxy_protocol(const char *text, unsigned *versions_out,
    bool *required_out)
{
	static const struct {
		const char *text;
		unsigned versions;
		bool required;
	} known[] = {
		{ "off", 0, false },
		{ "false", 0, false },
		{ "auto", RULES_PROXY_V1 | RULES_PROXY_V2, false },
		{ "true", RULES_PROXY_V1 | RULES_PROXY_V2, false },
		{ "v1", RULES_PROXY_V1, false },
		{ "v2", RULES_PROXY_V2, false },
		{ "required", RULES_PROXY_V1 | RULES_PROXY_V2, true },
		{ "required-v1", RULES_PROXY_V1, true },
		{ "required-v2", RULES_PROXY_V2, true },
	};

	*versions_out = 0;
	*required_out = false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(text, known[i].text) == 0) {
			*versions_out = known[i].versions;
			*required_out = known[i].required;
			return true;
		}
	return false;
}

static int
check_proxy_protocol(const char *text, struct err *err)
{
	unsigned versions;
	bool required;

	if (rules_proxy_protocol(text, &versions, &required))
		return 0;
	return must_be(err, "off, v1, v2, auto, required, required-v1 or "
			    "required-v2");
}

static int
check_protocol(const char *text, struct err *err)
{
	if (strcmp(text, "http") == 0 || strcmp(text, "uwsgi") == 0)
		return 0;
	return must_be(err, "http or uwsgi");
}

bool
rules_umask(const char *text, mode_t *mode_out)
{
	const char *digits = text;
	unsigned base = 10, n = 0;

	*mode_out = 0;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		base = 16, digits += 2;
	else if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
		base = 8, digits += 2;
	else if (text[0] == '0')
		base = 8;
	if (*digits == '\0')
		return false;
	for (; *digits != '\0'; digits++) {
		const char *all = "0123456789abcdef";
		const char *at = strchr(all, *digits | 0x20);

		/* The space bit does not change a digit. */
		if (at == NULL || (unsigned)(at - all) >= base)
			return false;
		n = n * base + (unsigned)(at - all);
		if (n > 0777)
			return false;
	}
	*mode_out = (mode_t)n;
	return true;
}

bool
rules_mode(const char *text, mode_t *mode_out)
{
	char octal[8] = "0";

	*mode_out = 0;
	if (*text == '\0' || strlen(text) > 4 ||
	    text[strspn(text, "01234567")] != '\0')
		return false;
	memcpy(octal + 1, text, strlen(text));
	return rules_umask(octal, mode_out);
}

/* Always octal: nobody means 660 to be decimal. */
static int
check_mode(const char *text, struct err *err)
{
	mode_t mode;

	if (rules_mode(text, &mode))
		return 0;
	return must_be(err, "0..0777, octal");
}

static int
check_umask(const char *text, struct err *err)
{
	mode_t mode;

	if (rules_umask(text, &mode))
		return 0;
	return must_be(err, "0..0777; octal with a leading 0");
}

/* Python's names, as people write them in settings for gunicorn. */
static const char *
without(const char *prefix, const char *text)
{
	return has_prefix(text, prefix) ? text + strlen(prefix) : text;
}

bool
rules_cert_reqs(const char *text, unsigned *out)
{
	static const char *const words[][2] = { { "none", "0" },
		{ "optional", "1" }, { "required", "2" } };
	const char *word = without("CERT_", without("VerifyMode.",
	    without("ssl.", text)));

	for (*out = 0; *out < 3; ++*out)
		if (span_ieq(span_of(word), span_of(words[*out][0])) ||
		    strcmp(word, words[*out][1]) == 0)
			return true;
	*out = 0;
	return false;
}

static int
check_cert_reqs(const char *text, struct err *err)
{
	unsigned number;

	if (rules_cert_reqs(text, &number))
		return 0;
	return must_be(err, "none, optional or required");
}

bool
rules_tls_version(const char *text, unsigned *minor_out)
{
	const char *word = without("v", without("TLS", text));

	*minor_out = 2;
	if (strcmp(word, "1.2") == 0 || strcmp(word, "1_2") == 0)
		return true;
	*minor_out = 3;
	return strcmp(word, "1.3") == 0 || strcmp(word, "1_3") == 0;
}

static int
check_tls_version(const char *text, struct err *err)
{
	unsigned minor;

	if (rules_tls_version(text, &minor))
		return 0;
	return must_be(err, "1.2 or 1.3; older ones are not safe");
}

static int
check_alpn(const char *text, struct err *err)
{
	if (strcmp(text, "http/1.1") == 0 || strcmp(text, "http/1.0") == 0)
		return 0;
	if (strcmp(text, "h2") == 0)
		return must_be(err, "http/1.1 or http/1.0; bicorn does not "
				    "speak HTTP/2");
	return must_be(err, "http/1.1 or http/1.0");
}

static int
check_path(const char *text, struct err *err)
{
	if (text[0] == '/' && text[strcspn(text, " ?#")] == '\0')
		return 0;
	return must_be(err, "a path such as /health");
}

/* As it may stand in SCRIPT_NAME: "/app", and "/" for none. */
static int
check_root_path(const char *text, struct err *err)
{
	if (text[0] == '/' && text[strcspn(text, " ?#%")] == '\0')
		return 0;
	return must_be(err, "a path such as /app, not encoded");
}

/* --- names and values ---------------------------------------------------- */

static int
check_env(const char *text, struct err *err)
{
	const char *equals = strchr(text, '=');

	if (equals != NULL && equals != text)
		return 0;
	return must_be(err, "NAME=VALUE");
}

/* The name of a header field: RFC 9110, 5.6.2. */
static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= 'a' && c <= 'z') &&
		    (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
			return false;
	}
	return s.len > 0;
}

static int
check_field_name(const char *text, struct err *err)
{
	if (is_token(span_of(text)))
		return 0;
	return must_be(err, "names of header fields");
}

/* It goes into heads of our own, which are of a bounded size. */
static int
check_id_name(const char *text, struct err *err)
{
	if (strlen(text) > 128)
		return must_be(err, "128 bytes long at most");
	return check_field_name(text, err);
}

static int
check_one_field_name(const char *text, struct err *err)
{
	if (is_token(span_of(text)))
		return 0;
	return must_be(err, "the name of a header field, such as "
			    "X-Forwarded-For or Forwarded");
}

static int
check_scheme_header(const char *text, struct err *err)
{
	struct span rest = span_of(text), name;

	if (span_next(&rest, '=', &name) && is_token(name) && rest.len > 0)
		return 0;
	return must_be(err, "NAME=VALUE, NAME being that of a header field");
}

/* --- logs and answers ----------------------------------------------------- */

static int
check_syslog_addr(const char *text, struct err *err)
{
	struct endpoint e;

	return endpoint_parse(text, false, "514", &e, err);
}

static int
check_statsd_host(const char *text, struct err *err)
{
	struct endpoint e;

	return endpoint_parse(text, true, "8125", &e, err);
}

static int
check_facility(const char *text, struct err *err)
{
	unsigned number;

	if (facility_parse(text, &number))
		return 0;
	return must_be(err, "a facility of syslog: user, daemon, local0 ...");
}

/* What can stand in a header field, or in a line for statsd. */
static int
check_printable(const char *text, struct err *err)
{
	size_t len = 0;

	for (; text[len] != '\0'; len++)
		if (text[len] < ' ' || text[len] > '~') /* signed or not */
			return must_be(err, "of printable ASCII characters");
	return len <= 256 ? 0 : must_be(err, "256 bytes long at most");
}

/* --- the rules ----------------------------------------------------------- */

static const struct {
	enum setting_id id;
	rule_fn check;
} rules[] = {
	{ SETTING_admin_bind, check_bind },
	{ SETTING_bind, check_bind },
	{ SETTING_raw_env, check_env },
	{ SETTING_reload_engine, check_engine },
	{ SETTING_raw_paste_global_conf, check_env },
	{ SETTING_health_path, check_path },
	{ SETTING_umask, check_umask },
	{ SETTING_socket_mode, check_mode },
	{ SETTING_error_log_format, check_log_format },
	{ SETTING_loglevel, check_log_level },
	{ SETTING_forwarded_allow_ips, check_network },
	{ SETTING_secure_scheme_headers, check_scheme_header },
	{ SETTING_forwarder_headers, check_field_name },
	{ SETTING_header_map, check_header_map },
	{ SETTING_cert_reqs, check_cert_reqs },
	{ SETTING_tls_min_version, check_tls_version },
	{ SETTING_alpn, check_alpn },
	{ SETTING_syslog_addr, check_syslog_addr },
	{ SETTING_syslog_facility, check_facility },
	{ SETTING_syslog_prefix, check_printable },
	{ SETTING_statsd_host, check_statsd_host },
	{ SETTING_statsd_prefix, check_printable },
	{ SETTING_dogstatsd_tags, check_printable },
	{ SETTING_request_id, check_id_name },
	{ SETTING_server_header, check_printable },
	{ SETTING_remote_addr_header, check_one_field_name },
	{ SETTING_root_path, check_root_path },
	{ SETTING_proxy_protocol, check_proxy_protocol },
	{ SETTING_proxy_allow_ips, check_network },
	{ SETTING_protocol, check_protocol },
	{ SETTING_uwsgi_allow_ips, check_network },
};

int
rules_check(const struct setting *s, const char *text, struct err *err)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		if (rules[i].id == setting_id(s))
			return rules[i].check(text, err);
	return 0;
}
