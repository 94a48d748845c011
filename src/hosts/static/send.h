/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_SEND_H
#define BICORN_HOSTS_STATIC_SEND_H

/* Responses of the static host. */

#include <stdint.h>
#include <sys/stat.h>

#include <bicorn/app.h>

/* A regular file, borrowed. */
struct file {
	struct stat st;
	const char *type;    /* value of Content-Type */
	const char *content; /* st.st_size bytes, unless it is NULL */
	int fd;              /* they are in this file, unless it is -1, ... */
	off_t at;            /* ... from here on */
};

/*
 * Answers GET or HEAD with the file, a part of it, 304, 412 or 416, as the
 * request's conditions and ranges say.  now_s is the wall clock's.
 */
void send_file(struct bicorn_exchange *x, const struct file *f, int64_t now_s);

/* The server's page for that status; nothing but the head below 400. */
void send_status(struct bicorn_exchange *x, unsigned status);

/* As send_status(), with one more field. */
void send_status_with(struct bicorn_exchange *x, unsigned status,
    const char *name, const char *value);

/* 204 with Allow, for OPTIONS. */
void send_options(struct bicorn_exchange *x);

#endif
