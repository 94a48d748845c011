/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_NOTIFY_H
#define BICORN_ARBITER_NOTIFY_H

/*
 * Telling the service manager how we are, over the socket that it names in
 * NOTIFY_SOCKET: sd_notify(3), without its library.  Without that variable
 * nothing is ever sent.  A manager that does not listen holds up nobody: what
 * it has no room for is kept, the newest of it, and said later.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct err;

#define NOTIFY_STATUS_MAX 256

struct notify {
	int fd; /* -1: nobody wants to know */
	bool mute; /* another process speaks for the service */
	struct sockaddr_un address;
	socklen_t length;
	int64_t watchdog_ms; /* between signs of life; 0: none are wanted */
	int64_t due_ms;      /* of the next one; CLOCK_NEVER: of none */
	char status[NOTIFY_STATUS_MAX]; /* what was sent last */
	char owed[64]; /* a turning point that is still to be sent, or "" */
	bool behind;   /* something could not be sent */
};

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them: an
 * application is not to speak for us.  -1: they are of no use.
 */
int notify_open(struct notify *n, struct err *err);
void notify_close(struct notify *n);

/* We serve; from now on signs of life are due, the first one at once. */
void notify_ready(struct notify *n, int64_t now_ms);

void notify_reloading(struct notify *n);
void notify_stopping(struct notify *n);

/* One line for the operator; sent when it is another than before. */
void notify_status(struct notify *n, const char *text);

/*
 * The service is that process from now on.  Returns when the manager has
 * heard it, or after a moment.
 */
void notify_heir(struct notify *n, pid_t pid);

/* Puts the variables back, for another program that is to speak. */
void notify_environment(const struct notify *n);

/* A sign of life. */
void notify_alive(struct notify *n, int64_t now_ms);

/* Sends what is owed; the status is the caller's to repeat. */
void notify_again(struct notify *n);

/* When there is something to say at the latest; CLOCK_NEVER: nothing. */
int64_t notify_deadline(const struct notify *n, int64_t now_ms);

#endif
