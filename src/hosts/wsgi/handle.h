/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_HANDLE_H
#define BICORN_HOSTS_WSGI_HANDLE_H

struct bicorn_exchange;
struct wsgi_thread;

/* Answers it, and may leave the pool thread with the interpreter lock ... */
void handle_exchange(struct bicorn_exchange *x);

/* ... that it is to give up before it waits, or stops. */
void handle_idle(struct wsgi_thread *t);

#endif
