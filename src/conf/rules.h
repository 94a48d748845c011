/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_RULES_H
#define BICORN_CONF_RULES_H

/*
 * What single settings demand beyond their kind and range.  Pure functions:
 * the system is asked later, in derive.h.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "conf/table.h"

struct err;

/*
 * One text, or one text of a list, of setting s.  0, or -1 and err says
 * what would be right.
 */
int rules_check(const struct setting *s, const char *text, struct err *err);

/* "0022" and "0o22" octal, "18" decimal, "0x12"; false: not 0..0777. */
bool rules_umask(const char *text, mode_t *mode_out);

/* "660" and "0660", always octal; false: not 0..0777. */
bool rules_mode(const char *text, mode_t *mode_out);
/* Versions of the PROXY protocol, as bits; the same as in net/proxy.h. */
enum rules_proxy { RULES_PROXY_V1 = 1, RULES_PROXY_V2 = 2 };

/* proxy_protocol: what is accepted, 0 for off, and whether it has to come. */
bool rules_proxy_protocol(const char *text, unsigned *versions_out,
    bool *required_out);

/* The number that enum log_level has for that name, in any case. */
bool rules_log_level(const char *text, unsigned *level_out);

/* "none", "optional", "required", 0..2 or Python's CERT_...; a number 0..2. */
bool rules_cert_reqs(const char *text, unsigned *out);

/* "1.2" or "1.3", also as "TLSv1.2"; the part behind the point. */
bool rules_tls_version(const char *text, unsigned *minor_out);

#endif
