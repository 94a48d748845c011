/* SPDX-License-Identifier: MIT */
#include "arbiter/oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

#define CGROUP_DIR "/sys/fs/cgroup"
#define FILE_MAX (64 * 1024)

/* A victim with much memory takes a while to be gone. */
#define RECENT_MS 30000

/* The number behind "oom_kill " at the beginning of a line. */
static bool
read_counter(const char *path, uint64_t *out)
{
	static const char key[] = "oom_kill ";
	char *text = fd_slurp(path, FILE_MAX, NULL), *line, *rest;
	bool found = false;

	*out = 0;
	rest = text;
	while (!found && rest != NULL && (line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, key, sizeof(key) - 1) == 0) {
			*out = strtoull(line + sizeof(key) - 1, NULL, 10);
			found = true;
		}
	free(text);
	return found;
}

/* The group's file, or that of the root as a container sees it. */
static bool
try_group(struct oom *o, const char *dir, const char *group, const char *file)
{
	const char *groups[] = { group, "" };

	for (size_t i = 0; i < 2; i++) {
		int len = snprintf(o->path, sizeof(o->path), "%s%s/%s", dir,
		    groups[i], file);

		if (len < (int)sizeof(o->path) &&
		    read_counter(o->path, &o->seen))
			return true;
	}
	return false;
}

static bool
has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; *list != '\0'; list += strcspn(list, ","), list += *list == ',')
		if (strncmp(list, word, len) == 0 &&
		    (list[len] == '\0' || list[len] == ','))
			return true;
	return false;
}

/* A line of /proc/self/cgroup: "0::/a.slice", "4:memory:/docker/12". */
static bool
try_line(struct oom *o, char *line)
{
	char *controllers, *group;

	strsep(&line, ":");
	controllers = strsep(&line, ":");
	group = line;
	if (controllers == NULL || group == NULL)
		return false;
	if (strcmp(group, "/") == 0)
		group[0] = '\0';
	if (has_word(controllers, "memory"))
		return try_group(o, CGROUP_DIR "/memory", group,
		    "memory.oom_control");
	return controllers[0] == '\0' &&
	    try_group(o, CGROUP_DIR, group, "memory.events");
}

void
oom_init(struct oom *o)
{
	char *text = fd_slurp("/proc/self/cgroup", FILE_MAX, NULL);
	char *rest = text, *line;

	*o = (struct oom){ .ours = false };
	while (!o->ours && rest != NULL && (line = strsep(&rest, "\n")) != NULL)
		o->ours = try_line(o, line);
	free(text);
	if (o->ours)
		return;
	snprintf(o->path, sizeof(o->path), "/proc/vmstat");
	if (!read_counter(o->path, &o->seen))
		o->path[0] = '\0';
}

void
oom_look(struct oom *o, int64_t now_ms)
{
	uint64_t count;

	if (o->kills > 0 && now_ms > o->rose_ms + RECENT_MS)
		o->kills = 0; /* somebody else's process */
	if (o->path[0] == '\0' || !read_counter(o->path, &count) ||
	    count <= o->seen)
		return;
	o->kills += count - o->seen;
	o->seen = count;
	o->rose_ms = now_ms;
}

bool
oom_claim(struct oom *o, int64_t now_ms)
{
	oom_look(o, now_ms);
	if (o->kills == 0)
		return false;
	o->kills--;
	return true;
}
