/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_HANDLE_H
#define BICORN_HOSTS_WSGI_HANDLE_H

struct bicorn_exchange;

/* Answers it, on a pool thread that does not hold the interpreter lock. */
void handle_exchange(struct bicorn_exchange *x);

#endif
