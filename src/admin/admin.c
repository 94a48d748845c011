/* SPDX-License-Identifier: MIT */
/* The loop of the admin process: who is there, what they get, until when. */
#include "admin/admin.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin_private.h"
#include "base/clock.h"
#include "base/fd.h"
#include "log/log.h"
#include "net/listen.h"

#define TICK_MS 1000
/* While somebody waits for stacks, they are looked for so often. */
#define STACKS_MS 20
/* A settings file in Python may take half a minute. */
#define REPLY_MS 45000

#define LISTENERS_MAX 16

bool
admin_is_built_in(void)
{
	return true;
}

/* --- peers ---------------------------------------------------------------- */

static void
peer_free(struct peer *p)
{
	fd_close(&p->fd);
	buf_fini(&p->in);
	buf_fini(&p->out);
	http_head_fini(&p->head);
	free(p->asked);
	*p = (struct peer){ .fd = -1 };
}

static size_t
count_peers(const struct admin *a, bool control)
{
	size_t n = 0;

	for (size_t i = 0; i < PEERS_MAX; i++)
		n += a->peers[i].fd >= 0 &&
		    (a->peers[i].kind == PEER_CONTROL) == control;
	return n;
}

static struct peer *
free_peer(struct admin *a)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (a->peers[i].fd < 0)
			return &a->peers[i];
	return NULL;
}

/*
 * The one whose silence is the longest, of those that wait for nothing.
 */
static struct peer *
idle_peer(struct admin *a)
{
	struct peer *found = NULL;

	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &a->peers[i];

		if (p->fd >= 0 && p->kind == PEER_HTTP && p->out.len == 0 &&
		    p->wait == WAIT_NOTHING &&
		    (found == NULL || p->heard_ms < found->heard_ms))
			found = p;
	}
	return found;
}

/* The one that takes the longest to take what it has asked for. */
static struct peer *
stuck_peer(struct admin *a)
{
	struct peer *found = NULL;

	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &a->peers[i];

		if (p->fd >= 0 && p->kind != PEER_CONTROL && p->owed_ms != 0 &&
		    (found == NULL || p->owed_ms < found->owed_ms))
			found = p;
	}
	return found != NULL && a->now_ms - found->owed_ms >= PEER_STUCK_MS ?
	    found : NULL;
}

/*
 * For each new connection one of these goes: who keeps all of them open keeps
 * nobody out, whether it asks for nothing or does not read.  Until one may go
 * the new one waits in the backlog.
 */
static bool
has_room(struct admin *a, struct peer **goes_out)
{
	*goes_out = NULL;
	if (count_peers(a, false) < PEERS_HTTP)
		return true;
	*goes_out = idle_peer(a);
	if (*goes_out == NULL)
		*goes_out = stuck_peer(a);
	return *goes_out != NULL;
}

static void
accept_peer(struct admin *a, const struct listener *l, enum peer_kind kind)
{
	bool control = kind == PEER_CONTROL;
	size_t room = control ? PEERS_MAX - PEERS_HTTP : PEERS_HTTP;
	struct peer *p = NULL;
	int fd;

	if (!control && !has_room(a, &p))
		return;
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (p != NULL)
		peer_free(p);
	p = free_peer(a);
	if (p == NULL || count_peers(a, control) >= room ||
	    (control && !control_admits(a, fd))) {
		fd_close(&fd);
		return;
	}
	*p = (struct peer){
		.fd = fd,
		.kind = kind,
		.any_host = l->is_unix || a->o->any_host,
		.deadline_ms = a->now_ms + PEER_REQUEST_MS,
		.heard_ms = a->now_ms,
	};
}

/* False when the peer is gone. */
static bool
send_some(struct admin *a, struct peer *p)
{
	while (p->sent < p->out.len) {
		ssize_t n = send(p->fd, p->out.data + p->sent,
		    p->out.len - p->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (p->owed_ms == 0)
				p->owed_ms = a->now_ms;
			return errno == EAGAIN || errno == EWOULDBLOCK;
		}
		p->sent += (size_t)n;
		p->deadline_ms = a->now_ms + PEER_SEND_MS;
	}
	p->out.len = p->sent = 0;
	p->owed_ms = 0;
	buf_trim(&p->out, REQUEST_MAX);
	return !p->close || p->wait != WAIT_NOTHING;
}

/* 1: something came, 0: nothing for now, -1: the peer is gone. */
static int
receive_some(struct peer *p)
{
	ssize_t n;

	if (p->in.len >= REQUEST_MAX)
		return 0; /* first what is there */
	if (!buf_reserve(&p->in, REQUEST_MAX))
		return -1;
	do
		n = recv(p->fd, p->in.data + p->in.len, REQUEST_MAX - p->in.len,
		    0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0) {
		p->ended = p->out.len > 0 || p->wait != WAIT_NOTHING;
		return p->ended ? 0 : -1;
	}
	p->in.len += (size_t)n;
	return 1;
}

static bool
serve(struct admin *a, struct peer *p)
{
	switch (p->kind) {
	case PEER_HTTP:
		return http_serve(a, p);
	case PEER_CONTROL:
		return control_serve(a, p);
	default: /* one that gets events has nothing to say */
		p->in.len = 0;
		return true;
	}
}

/* What one that has all of its answer may take for the next request. */
static void
set_deadline(const struct admin *a, struct peer *p)
{
	if (p->out.len > 0 || p->wait != WAIT_NOTHING)
		return;
	if (p->kind == PEER_EVENTS)
		p->deadline_ms = CLOCK_NEVER;
	else if (p->in.len == 0)
		p->deadline_ms = a->now_ms + PEER_IDLE_MS;
}

/* Whether its next request may be answered. */
static bool
is_free(const struct peer *p)
{
	return p->out.len == 0 && p->wait == WAIT_NOTHING;
}

/* One request after the other, as far as the answers go. */
static bool
serve_all(struct admin *a, struct peer *p)
{
	bool sent;
	size_t before;

	do {
		before = p->in.len;
		sent = p->out.len > 0;
		if (is_free(p) && p->in.len > 0 && !serve(a, p))
			return false;
		if (!send_some(a, p))
			return false;
	} while (is_free(p) && p->in.len > 0 && (sent || p->in.len < before));
	set_deadline(a, p);
	return !p->ended || !is_free(p);
}

static bool
tend(struct admin *a, struct peer *p, short events)
{
	bool was_empty = p->in.len == 0;
	int got = 0;

	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0)
		got = receive_some(p);
	/* When it is gone altogether, nobody waits for answers. */
	if (got < 0 || (got == 0 && (events & (POLLHUP | POLLERR)) != 0))
		return false;
	if (got > 0)
		p->heard_ms = a->now_ms;
	if (got > 0 && was_empty)
		p->deadline_ms = a->now_ms + PEER_REQUEST_MS;
	return serve_all(a, p);
}

/* --- the arbiter ---------------------------------------------------------- */

bool
admin_command(struct admin *a, struct peer *p, enum channel_command command,
    int64_t argument)
{
	const struct channel_message m = {
		.kind = CHANNEL_COMMAND,
		.command = command,
		.id = ++a->commands,
		.argument = argument,
		.board = -1,
		.settings = -1,
	};

	if (!channel_send(a->o->channel, &m))
		return false;
	p->wait = WAIT_REPLY;
	p->id = m.id;
	p->wait_ms = a->now_ms + REPLY_MS;
	p->deadline_ms = CLOCK_NEVER;
	return true;
}

static void
pass_reply(struct admin *a, struct peer *p, bool ok, const char *text)
{
	p->wait = WAIT_NOTHING;
	p->deadline_ms = a->now_ms + PEER_SEND_MS;
	if (p->kind == PEER_CONTROL)
		control_reply(a, p, ok, text);
	else
		http_reply(a, p, ok, text);
}

static void
take_reply(struct admin *a, const struct channel_message *m)
{
	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &a->peers[i];

		if (p->fd >= 0 && p->wait == WAIT_REPLY && p->id == m->id)
			pass_reply(a, p, m->ok != 0, m->text);
	}
}

static void
take_messages(struct admin *a)
{
	struct channel_message m;

	for (;;) {
		switch (channel_receive(a->o->channel, &m)) {
		case CHANNEL_NONE:
			return;
		case CHANNEL_END:
			a->over = true;
			return;
		case CHANNEL_GOT:
			break;
		}
		if (m.kind == CHANNEL_GENERATION)
			view_add(&a->view, (unsigned)m.id, m.board,
			    m.settings);
		else if (m.kind == CHANNEL_GONE)
			view_remove(&a->view, (unsigned)m.id);
		else if (m.kind == CHANNEL_REPLY)
			take_reply(a, &m);
	}
}

/* --- the clock ------------------------------------------------------------ */

static bool
has_events(const struct admin *a)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (a->peers[i].fd >= 0 && a->peers[i].kind == PEER_EVENTS)
			return true;
	return false;
}

/* One that does not take what it gets is let go. */
static void
send_events(struct admin *a)
{
	json_t *status = view_status(&a->view);

	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &a->peers[i];

		if (p->fd < 0 || p->kind != PEER_EVENTS)
			continue;
		if (p->out.len == 0) {
			http_event(p, "status", status);
			p->deadline_ms = a->now_ms + PEER_SEND_MS;
		}
		if (!send_some(a, p))
			peer_free(p);
		else
			set_deadline(a, p);
	}
	json_decref(status);
}

static void
tick(struct admin *a)
{
	if (a->now_ms < a->tick_ms)
		return;
	/* Late once, not late for ever. */
	a->tick_ms = a->tick_ms + 2 * TICK_MS > a->now_ms
	    ? a->tick_ms + TICK_MS
	    : a->now_ms + TICK_MS;
	view_tick(&a->view);
	if (has_events(a))
		send_events(a);
}

static void
look_after(struct admin *a, struct peer *p)
{
	if (p->wait == WAIT_STACKS)
		control_stacks(a, p);
	if (p->wait == WAIT_REPLY && a->now_ms >= p->wait_ms)
		pass_reply(a, p, false, "the arbiter does not answer");
	if (p->out.len > 0 && !serve_all(a, p))
		peer_free(p);
	else if (a->now_ms >= p->deadline_ms && p->wait == WAIT_NOTHING)
		peer_free(p);
}

static int
wait_ms(const struct admin *a)
{
	int64_t due = a->tick_ms;

	for (size_t i = 0; i < PEERS_MAX; i++) {
		const struct peer *p = &a->peers[i];

		if (p->fd < 0)
			continue;
		if (p->wait == WAIT_STACKS)
			due = a->now_ms + STACKS_MS;
		if (p->deadline_ms < due)
			due = p->deadline_ms;
	}
	return due > a->now_ms ? (int)(due - a->now_ms) : 0;
}

/* --- the loop ------------------------------------------------------------- */

static short
events_of(const struct peer *p)
{
	short events = POLLIN;

	if (p->in.len >= REQUEST_MAX || p->ended)
		events = 0;
	return p->out.len > 0 ? (short)(events | POLLOUT) : events;
}

static void
one_round(struct admin *a)
{
	struct pollfd fds[1 + LISTENERS_MAX + 1 + PEERS_MAX];
	struct peer *of[PEERS_MAX], *goes;
	bool room = has_room(a, &goes);
	size_t n = 0, first, peers = 0, listeners = a->o->listener_count;

	fds[n++] = (struct pollfd){ a->o->channel, POLLIN, 0 };
	for (size_t i = 0; i < listeners; i++)
		fds[n++] = (struct pollfd){
			room ? a->o->listeners[i]->fd : -1, POLLIN, 0
		};
	fds[n++] = (struct pollfd){
		a->o->control != NULL ? a->o->control->fd : -1, POLLIN, 0
	};
	first = n;
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (a->peers[i].fd >= 0) {
			of[peers++] = &a->peers[i];
			fds[n++] = (struct pollfd){ a->peers[i].fd,
				events_of(&a->peers[i]), 0 };
		}
	if (poll(fds, (nfds_t)n, wait_ms(a)) < 0)
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0;
	a->now_ms = clock_ms();
	if (fds[0].revents != 0)
		take_messages(a);
	for (size_t i = 0; i < peers; i++)
		if (fds[first + i].revents != 0 &&
		    !tend(a, of[i], fds[first + i].revents))
			peer_free(of[i]);
	for (size_t i = 0; i < listeners; i++)
		if (fds[1 + i].revents != 0)
			accept_peer(a, a->o->listeners[i], PEER_HTTP);
	if (fds[1 + listeners].revents != 0)
		accept_peer(a, a->o->control, PEER_CONTROL);
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (a->peers[i].fd >= 0)
			look_after(a, &a->peers[i]);
	tick(a);
}

int
admin_main(const struct admin_options *o)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (a == NULL || view_init(&a->view, o->ledger) != 0) {
		log_error("Admin: out of memory");
		return 1;
	}
	a->o = o;
	a->view.name = o->name;
	a->view.controls = o->page_controls;
	a->now_ms = a->tick_ms = clock_ms();
	for (size_t i = 0; i < PEERS_MAX; i++)
		a->peers[i].fd = -1;
	while (!a->over)
		one_round(a);
	for (size_t i = 0; i < PEERS_MAX; i++)
		peer_free(&a->peers[i]);
	view_fini(&a->view);
	free(a);
	return 0;
}
