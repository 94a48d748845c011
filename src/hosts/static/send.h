/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_SEND_H
#define BICORN_HOSTS_STATIC_SEND_H

/* Responses of the static host. */

#include <stdint.h>
#include <sys/stat.h>

#include <bicorn/app.h>

/*
 * Up to this size, reading a file and sending it together with the head is
 * cheaper than sendfile(2), which needs a system call of its own behind the
 * head.
 */
#define SEND_SMALL_BYTES 16384

/* An open regular file, borrowed. */
struct file {
	int fd;
	struct stat st;
	const char *type; /* value of Content-Type */
};

/*
 * Answers GET or HEAD with the file, a part of it, 304, 412 or 416, as the
 * request's conditions and ranges say.  buf is room for a small file.
 */
void send_file(struct bicorn_exchange *x, const struct file *f,
    char buf[SEND_SMALL_BYTES]);

/* A short text that says what the status means. */
void send_status(struct bicorn_exchange *x, unsigned status);

/* As send_status(), with one more field. */
void send_status_with(struct bicorn_exchange *x, unsigned status,
    const char *name, const char *value);

/* 204 with Allow, for OPTIONS. */
void send_options(struct bicorn_exchange *x);

#endif
