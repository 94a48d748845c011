/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ADMIN_CHANNEL_H
#define BICORN_ADMIN_CHANNEL_H

/*
 * The line between the arbiter and the process that shows how it is: a pair
 * of sockets that keep messages apart.  The arbiter sends its scoreboards;
 * the other side sends commands, each of which is answered once.  Neither
 * side ever waits for the other.
 */

#include <stdbool.h>
#include <stdint.h>

enum channel_kind {
	CHANNEL_GENERATION, /* arbiter: a new one; carries two descriptors */
	CHANNEL_GONE,       /* arbiter: it has no worker left */
	CHANNEL_REPLY,      /* arbiter: to the command of that id */
	CHANNEL_COMMAND,
};

enum channel_command {
	COMMAND_RELOAD,
	COMMAND_REOPEN,
	COMMAND_SCALE,     /* argument: workers */
	COMMAND_SCALE_BY,  /* argument: 1 or -1 */
	COMMAND_RETIRE,    /* argument: pid */
	COMMAND_STOP,
	COMMAND_QUIT,      /* stop at once */
	COMMAND_LOG_LEVEL, /* argument: enum log_level */
};

#define CHANNEL_TEXT 512

struct channel_message {
	uint32_t kind;     /* enum channel_kind */
	uint32_t command;  /* enum channel_command */
	uint64_t id;       /* of the command; or number of the generation */
	int64_t argument;
	uint32_t ok;       /* of a reply */
	char text[CHANNEL_TEXT]; /* of a reply */

	/* Of CHANNEL_GENERATION; -1 otherwise.  The receiver owns them. */
	int board;
	int settings;
};

/* Both ends, non-blocking and close-on-exec; 0, or -1 with errno. */
int channel_open(int ends_out[2]);

/* False when it did not go, as the other side is gone or does not read. */
bool channel_send(int fd, const struct channel_message *m);

enum channel_result {
	CHANNEL_GOT,
	CHANNEL_NONE, /* nothing is there */
	CHANNEL_END,  /* the other side is gone */
};
enum channel_result channel_receive(int fd, struct channel_message *out);

#endif
