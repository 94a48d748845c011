/* SPDX-License-Identifier: MIT */
#include "conf/foreign.h"

#include "conf/suggest.h"

/*
 * By setting or by flag, where these differ; '*' stands for any end.  A
 * name that becomes one of ours is found before anybody looks here.
 */
static const char *const names[] = {
	"asgi_*",
	"ca_certs",
	"capture_output",
	"casefold_http_method",
	"cert_reqs",
	"ciphers",
	"control_socket*",
	"default_proc_name",
	"dirty_*",
	"disable_redirect_access_to_syslog",
	"do_handshake_on_connect",
	"dogstatsd_tags",
	"enable_backlog_metric",
	"enable_stdio_inheritance",
	"http2_*",
	"http_parser",
	"http_protocols",
	"initgroups",
	"log_config*",
	"log_syslog*",
	"logconfig*",
	"logger_class",
	"no_control_socket",
	"paste*",
	"permit_*",
	"protocol",
	"proxy_allow_*",
	"proxy_protocol",
	"raw_paste_global_conf",
	"reload*",
	"root_path",
	"spew",
	"ssl_version",
	"statsd_*",
	"strip_header_spaces",
	"suppress_ragged_eofs",
	"syslog*",
	"uwsgi_allow_*",
	"worker_tmp_dir",
};

static bool
matches(struct span word, struct span name)
{
	if (name.ptr[name.len - 1] == '*') {
		name.len--;
		if (word.len > name.len)
			word.len = name.len;
	}
	return suggest_distance(word, name) == 0;
}

bool
foreign_known(struct span word)
{
	while (word.len > 0 && word.ptr[0] == '-') {
		word.ptr++;
		word.len--;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (matches(word, span_of(names[i])))
			return true;
	return span_eq(word, SPAN("R"));
}
