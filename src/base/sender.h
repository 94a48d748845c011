/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_SENDER_H
#define BICORN_BASE_SENDER_H

/* Who sent a signal, in words for the log. */

#include <stddef.h>
#include <sys/types.h>

#define SENDER_TEXT_MAX 128

/* As the kernel tells it, in siginfo_t or struct signalfd_siginfo. */
struct sender {
	int code; /* si_code */
	pid_t pid;
	uid_t uid;
};

/*
 * "pid 812 (bash), user 1000".  The name is there as long as the process is;
 * so this is called soon after the signal.
 */
void sender_text(const struct sender *s, char out[SENDER_TEXT_MAX]);

#endif
