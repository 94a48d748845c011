/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CTL_LINK_H
#define BICORN_CTL_LINK_H

/* The line to bicorn's control socket: JSON there and back. */

#include <stdbool.h>

struct err;
struct json_t;

struct link {
	int fd; /* -1: not open */

	/* Whether not to wait any longer; NULL: wait. */
	bool (*wants_out)(void *arg);
	void *arg;
};

enum link_result {
	LINK_OK,
	LINK_REFUSED, /* err says why */
	LINK_LOST,    /* nobody is there, or no more */
	LINK_LEFT,    /* wants_out() said so */
};

/* Opens the socket at path. */
enum link_result link_open(struct link *l, const char *path, struct err *err);
void link_close(struct link *l);

/*
 * Sends a command, with an argument that is taken (NULL: none), and waits
 * for the answer, which the caller frees.
 */
enum link_result link_ask(struct link *l, const char *command,
    struct json_t *argument, struct json_t **data_out, struct err *err);

/* Waits until the other side is gone. */
void link_await_end(struct link *l);

#endif
