/* SPDX-License-Identifier: MIT */
/* Small files in memory: never older than the file, and bounded. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "hosts/static/cache.h"
#include "hosts/static/tree.h"

static char dir[] = "/tmp/static_cache.XXXXXX";
static struct tree tree;
static struct cache *cache;
static int64_t later; /* a second in which nothing was changed */

static void
write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	later = st.st_ctim.tv_sec + 1;
}

static void
keep(const char *name, const char *text, int64_t now_s)
{
	struct stat st;
	int fd;

	assert_int_equal(tree_resolve(&tree, name, &fd, &st), TREE_FILE);
	close(fd);
	cache_keep(cache, name, &st, text, now_s);
}

static void
holds(const char *name, const char *text)
{
	const struct cached *f = cache_find(cache, &tree, name, later);

	assert_non_null(f);
	assert_int_equal(f->st.st_size, strlen(text));
	assert_memory_equal(f->content, text, strlen(text));
}

static void
lacks(const char *name)
{
	assert_null(cache_find(cache, &tree, name, later));
}

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL || chdir(dir) != 0 ||
	    tree_open(&tree, dir, false) != 0)
		return -1;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	tree_close(&tree);
	return chdir("/") != 0 || rmdir(dir) != 0;
}

static int
fill(void **state)
{
	(void)state;
	cache = cache_new();
	if (cache == NULL)
		return -1;
	write_file("a", "hello");
	keep("a", "hello", later);
	return 0;
}

static int
drain(void **state)
{
	(void)state;
	cache_free(&cache);
	unlink("a");
	return cache != NULL;
}

static void
test_kept(void **state)
{
	(void)state;
	holds("a", "hello");
	holds("a", "hello");
	lacks("b");
	lacks("");
	write_file("e", "");
	keep("e", "", later);
	holds("e", "");
	unlink("e");
	lacks("e");
}

static void
test_changed(void **state)
{
	struct timespec times[2];
	struct stat st;

	(void)state;
	/* The same size and even the same time: the inode tells. */
	assert_int_equal(stat("a", &st), 0);
	write_file("a", "HELLO");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, "a", times, 0), 0);
	lacks("a");
}

static void
test_replaced(void **state)
{
	(void)state;
	write_file("new", "hello");
	assert_int_equal(rename("new", "a"), 0);
	lacks("a");
}

static void
test_removed(void **state)
{
	(void)state;
	assert_int_equal(unlink("a"), 0);
	lacks("a");
}

static void
test_mode(void **state)
{
	(void)state;
	assert_int_equal(chmod("a", 0), 0);
	lacks("a");
}

/* What changed in this second may change again unseen. */
static void
test_fresh(void **state)
{
	(void)state;
	write_file("a", "hello");
	keep("a", "hello", later - 1);
	later--;
	lacks("a");
}

/* A second later, the name is resolved anew. */
static void
test_next_second(void **state)
{
	(void)state;
	later++;
	lacks("a");
	/* Also when the clock was set back. */
	keep("a", "hello", later);
	holds("a", "hello");
	later--;
	lacks("a");
}

/* More files than there is room for: the memory stays bounded. */
static void
test_many(void **state)
{
	static char text[16384];
	int i, kept = 0;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	write_file("a", text);
	for (i = 0; i < 4; i++) {
		char name[32];
		int j;

		for (j = 0; j < 1000; j++) {
			struct stat st;

			snprintf(name, sizeof(name), "%d", j);
			assert_int_equal(stat("a", &st), 0);
			cache_keep(cache, name, &st, text, later);
		}
	}
	/* They have no files: asking finds and drops them all. */
	for (i = 0; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(symlink("a", name), 0);
		kept += cache_find(cache, &tree, name, later) != NULL;
		unlink(name);
	}
	assert_in_range(kept, 32, 64);
}

/* What is still to be sent stays as it is, whatever becomes of the cache. */
static void
test_constant(void **state)
{
	static char text[16385], sent[16384];
	const struct cached *f;
	struct stat st;
	int i, fd;
	off_t at;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	write_file("a", text);
	assert_int_equal(stat("a", &st), 0);
	cache_keep(cache, "a", &st, text, later);
	f = cache_find(cache, &tree, "a", later);
	assert_non_null(f);
	assert_true(f->fd >= 0);
	fd = dup(f->fd);
	at = f->at;
	for (i = 0; i < 1000; i++) {
		memset(text, 'a' + i % 20, sizeof(text) - 1);
		cache_keep(cache, "a", &st, text, later);
		holds("a", text);
	}
	assert_int_equal(pread(fd, sent, sizeof(sent), at), sizeof(sent));
	memset(text, 'x', sizeof(text) - 1);
	assert_memory_equal(sent, text, sizeof(sent));
	close(fd);
}

/* In memory, or also in a file, which holds the same. */
static void
test_both(void **state)
{
	static char text[16385], sent[16384];
	size_t len;

	(void)state;
	for (len = CACHE_SENDFILE_MIN - 1; len < 16384; len += 2000) {
		const struct cached *f;

		memset(text, '\0', sizeof(text));
		memset(text, 'a' + (int)(len / 2000), len);
		write_file("a", text);
		keep("a", text, later);
		holds("a", text);
		f = cache_find(cache, &tree, "a", later);
		assert_int_equal(f->fd >= 0, len >= CACHE_SENDFILE_MIN);
		if (f->fd < 0)
			continue;
		assert_int_equal(pread(f->fd, sent, len, f->at), (int)len);
		assert_memory_equal(sent, text, len);
	}
}

/* How often a file in memory is mapped. */
static int
count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "memfd:static") != NULL;
	fclose(f);
	return n;
}

/* The file in memory has an end, which nothing crosses; then it goes. */
static void
test_end(void **state)
{
	static char text[16385];
	int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		const struct cached *f;
		size_t len = CACHE_SENDFILE_MIN + (size_t)i * 997 % 8192;

		memset(text, '\0', sizeof(text));
		memset(text, 'a' + i % 20, len);
		write_file("a", text);
		keep("a", text, later);
		f = cache_find(cache, &tree, "a", later);
		assert_non_null(f);
		assert_in_range(f->at, 0, (1 << 20) - (int)len);
		holds("a", text);
	}
	assert_int_equal(count_maps(), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, fill, drain),
		cmocka_unit_test_setup_teardown(test_changed, fill, drain),
		cmocka_unit_test_setup_teardown(test_replaced, fill, drain),
		cmocka_unit_test_setup_teardown(test_removed, fill, drain),
		cmocka_unit_test_setup_teardown(test_mode, fill, drain),
		cmocka_unit_test_setup_teardown(test_fresh, fill, drain),
		cmocka_unit_test_setup_teardown(test_next_second, fill, drain),
		cmocka_unit_test_setup_teardown(test_many, fill, drain),
		cmocka_unit_test_setup_teardown(test_constant, fill, drain),
		cmocka_unit_test_setup_teardown(test_both, fill, drain),
		cmocka_unit_test_setup_teardown(test_end, fill, drain),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
