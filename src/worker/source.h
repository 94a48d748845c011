/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SOURCE_H
#define BICORN_WORKER_SOURCE_H

/* What an epoll event points to: the first member of each such struct. */

enum source_kind {
	SOURCE_CLIENT,
	SOURCE_LISTENER,
	SOURCE_WAKE,
	SOURCE_LEFT, /* another worker left a connection to us */
};

struct source {
	enum source_kind kind;
};

#endif
