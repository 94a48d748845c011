/* SPDX-License-Identifier: MIT */
#include "base/sender.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"

/* Longer than the kernel lets the name of a process be. */
#define NAME_MAX_LEN 64

static void
name_of(pid_t pid, char out[NAME_MAX_LEN + 4])
{
	char path[64], *text;
	size_t len;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	text = fd_slurp(path, NAME_MAX_LEN, &len);
	if (text == NULL)
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 ||
		    (unsigned char)text[i] > 0x7e)
			text[i] = i + 1 == len ? '\0' : '?';
	snprintf(out, NAME_MAX_LEN + 4, " (%s)", text);
	free(text);
}

void
sender_text(const struct sender *s, char out[SENDER_TEXT_MAX])
{
	char name[NAME_MAX_LEN + 4];

	if (s->code == SI_KERNEL) {
		snprintf(out, SENDER_TEXT_MAX, "the kernel or the terminal");
		return;
	}
	if (s->pid == 0) {
		snprintf(out, SENDER_TEXT_MAX,
		    "a process outside of this container");
		return;
	}
	name_of(s->pid, name);
	snprintf(out, SENDER_TEXT_MAX, "pid %d%s, user %u", (int)s->pid, name,
	    (unsigned)s->uid);
}
