/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CTL_TOP_H
#define BICORN_CTL_TOP_H

/* bicornctl top: the service, live. */

#include "ctl/link.h"

struct err;

struct top_options {
	long count;      /* pictures; 0: until q */
	double delay_s;  /* between two */
	bool json;       /* a line of JSON each */
};

enum link_result top_run(struct link *l, const struct top_options *o,
    struct err *err);

#endif
