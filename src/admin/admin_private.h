/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ADMIN_ADMIN_PRIVATE_H
#define BICORN_ADMIN_ADMIN_PRIVATE_H

/*
 * The admin process from inside: one thread, one loop.  Whoever connects gets
 * a bounded piece of everything: connections, bytes of a request, bytes that
 * wait to be taken, time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "admin/admin.h"
#include "admin/channel.h"
#include "admin/view.h"
#include "base/buf.h"
#include "http/head.h"

struct json_t;

/* Connections at a time; the last few are bicornctl's. */
#define PEERS_MAX 80
#define PEERS_HTTP 64
#define PEERS_EVENTS 24

/* A request, and a command, with all that belongs to it. */
#define REQUEST_MAX 16384

enum peer_kind {
	PEER_HTTP,
	PEER_EVENTS,  /* gets an event each second */
	PEER_CONTROL, /* bicornctl */
};

/* What a control connection waits for. */
enum peer_wait {
	WAIT_NOTHING,
	WAIT_REPLY,  /* of the arbiter */
	WAIT_STACKS, /* of workers */
};

/* A worker whose stacks were asked for. */
struct asked {
	pid_t pid;
	uint32_t number;
};

#define ASKED_MAX 256

struct peer {
	int fd; /* -1: free */
	enum peer_kind kind;
	bool any_host;   /* came by a unix socket */
	bool close;      /* when the output is sent */
	bool ended;      /* sends nothing more, but may wait for answers */
	struct buf in;
	struct buf out;
	size_t sent;     /* of out */
	struct http_head head;
	int64_t deadline_ms; /* of what it has to do next */
	int64_t heard_ms;    /* when it last sent something */
	int64_t owed_ms;     /* since when it has not taken all; 0: it has */

	enum peer_wait wait;
	uint64_t id;     /* of the command that waits */
	int64_t wait_ms; /* until then */
	struct asked *asked; /* heap, or NULL */
	size_t asked_count;
};

struct admin {
	const struct admin_options *o;
	struct view view;
	struct peer peers[PEERS_MAX];
	uint64_t commands;   /* sent so far */
	uint32_t dumps;      /* asked for so far */
	int64_t now_ms;
	int64_t tick_ms;     /* the next one */
	bool over;           /* the arbiter is gone */
};

/* How long a peer may take: for a request, and to take an answer. */
#define PEER_REQUEST_MS 10000
#define PEER_IDLE_MS 120000
#define PEER_SEND_MS 10000

/* The same when others want its place. */
#define PEER_STUCK_MS 1000

/* --- http.c --------------------------------------------------------------- */

/* Answers the requests that p->in holds; false: p is to be closed. */
bool http_serve(struct admin *a, struct peer *p);

/* The arbiter's reply to a button of the page. */
void http_reply(struct admin *a, struct peer *p, bool ok, const char *text);

/* An event for a peer that gets them; data is taken. */
void http_event(struct peer *p, const char *name, struct json_t *data);

/* --- control.c ------------------------------------------------------------ */

/* Whether the process at the other end may command us. */
bool control_admits(const struct admin *a, int fd);

/* The same for bicornctl. */
bool control_serve(struct admin *a, struct peer *p);
void control_reply(struct admin *a, struct peer *p, bool ok, const char *text);

/* The stacks that p waits for, when they are there, or it is too late. */
void control_stacks(struct admin *a, struct peer *p);

/* --- page.c --------------------------------------------------------------- */

extern const unsigned char admin_page[];
extern const size_t admin_page_len;

/* --- admin.c -------------------------------------------------------------- */

/*
 * Sends a command to the arbiter, whose reply goes to p; false: it does not
 * read.
 */
bool admin_command(struct admin *a, struct peer *p,
    enum channel_command command, int64_t argument);

#endif
