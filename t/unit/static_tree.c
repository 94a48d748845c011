/* SPDX-License-Identifier: MIT */
/*
 * Opening below a directory, by the kernel's way and by our own, which must
 * agree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "hosts/static/tree.h"

static char base[PATH_MAX]; /* holds "site", which is served, and "out" */
static char site[PATH_MAX + 8];
static struct tree tree;
static bool kernel_way;

static void
make_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
}

static void
make_link(const char *name, const char *target)
{
	assert_int_equal(symlink(target, name), 0);
}

/* "chainN" leads to a file by N links. */
static void
make_chain(void)
{
	char name[16], before[16] = "a.txt";

	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "chain%d", i);
		make_link(name, before);
		strcpy(before, name);
	}
}

static void
make_tree(void)
{
	char absolute[2 * PATH_MAX];

	assert_int_equal(mkdir("site", 0755), 0);
	assert_int_equal(mkdir("out", 0755), 0);
	assert_int_equal(mkdir("site-2", 0755), 0);
	make_file("out/secret", "secret");
	make_file("site-2/secret", "secret");
	assert_int_equal(chdir("site"), 0);
	make_file("a.txt", "a");
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(mkdir("d/e", 0755), 0);
	make_file("d/e/b.txt", "b");
	assert_int_equal(mkdir("d/e/f", 0755), 0);
	assert_int_equal(mkfifo("fifo", 0644), 0);

	make_link("in", "a.txt");
	make_link("in-dir", "d/e");
	make_link("in-up", "d/../d/e/../../a.txt");
	make_link("in-deep", "d/e/f/../b.txt");
	make_link("d/up", "../a.txt");
	make_link("d/e/up", "../../in-dir/../up");
	make_link("slash", "d/e///");
	make_link("root", ".");
	make_link("d/root", "..");
	make_link("loop", "loop");
	make_link("loop1", "loop2");
	make_link("loop2", "loop1");
	make_link("dangling", "nothing");
	make_link("file-slash", "a.txt/");
	make_link("out", "../out/secret");
	make_link("out-dir", "../out");
	make_link("out-back", "../site/a.txt");
	make_link("out-same", "../a.txt");
	make_link("d/out", "../../out/secret");
	make_link("out-chain", "d/out");
	make_link("out-etc", "/etc/passwd");
	make_link("out-root", "/");
	make_link("out-up", "../../../../../../../../etc/passwd");
	make_link("proc", "/proc/self/root/etc/passwd");

	snprintf(absolute, sizeof(absolute), "%s/a.txt", site);
	make_link("abs", absolute);
	snprintf(absolute, sizeof(absolute), "%s//d/../in-dir/b.txt", site);
	make_link("abs-winding", absolute);
	make_link("abs-root", site);
	snprintf(absolute, sizeof(absolute), "%s/../out/secret", site);
	make_link("abs-out", absolute);
	/* The root's name is the beginning of its neighbour's name. */
	snprintf(absolute, sizeof(absolute), "%s-2/secret", site);
	make_link("abs-next", absolute);
	assert_int_equal(mkdir("-2", 0755), 0);
	make_file("-2/secret", "not this one");
	make_chain();
}

static int
set_up(void **state)
{
	char template[] = "/tmp/static_tree.XXXXXX";

	(void)state;
	if (mkdtemp(template) == NULL || realpath(template, base) == NULL ||
	    chdir(base) != 0)
		return -1;
	snprintf(site, sizeof(site), "%s/site", base);
	chmod(base, 0755);
	make_tree();
	if (tree_open(&tree, site, false) != 0)
		return -1;
	kernel_way = tree.beneath;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	tree_close(&tree);
	return chdir("/") != 0 ||
	    nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0;
}

/* Resolves and compares what the file holds; NULL: it is no file. */
static void
resolve(const char *name, enum tree_verdict verdict, const char *text)
{
	char buf[16] = "";
	struct stat st;
	int fd;

	assert_int_equal(tree_resolve(&tree, name, &fd, &st), verdict);
	if (text == NULL) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	assert_string_equal(buf, text);
	close(fd);
}

static int
open_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
check_names(void)
{
	char text[NAME_MAX + 2];

	resolve("a.txt", TREE_FILE, "a");
	resolve("d/e/b.txt", TREE_FILE, "b");
	resolve("d", TREE_DIRECTORY, NULL);
	resolve("d/", TREE_DIRECTORY, NULL);
	resolve("", TREE_DIRECTORY, NULL);
	resolve("nothing", TREE_NOT_FOUND, NULL);
	resolve("nothing/", TREE_NOT_FOUND, NULL);
	resolve("d/nothing/b", TREE_NOT_FOUND, NULL);
	resolve("a.txt/", TREE_NOT_FOUND, NULL);
	resolve("a.txt/b", TREE_NOT_FOUND, NULL);
	resolve("fifo", TREE_NOT_FOUND, NULL);
	resolve("socket", TREE_NOT_FOUND, NULL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	resolve(text, TREE_NOT_FOUND, NULL);
}

static void
check_links_inside(void)
{
	resolve("in", TREE_FILE, "a");
	resolve("in-dir", TREE_DIRECTORY, NULL);
	resolve("in-dir/b.txt", TREE_FILE, "b");
	resolve("in-up", TREE_FILE, "a");
	resolve("in-deep", TREE_FILE, "b");
	resolve("d/up", TREE_FILE, "a");
	resolve("d/e/up", TREE_FILE, "a");
	resolve("slash", TREE_DIRECTORY, NULL);
	resolve("slash/b.txt", TREE_FILE, "b");
	resolve("root", TREE_DIRECTORY, NULL);
	resolve("root/d/root/root/a.txt", TREE_FILE, "a");
	resolve("abs", TREE_FILE, "a");
	resolve("abs-winding", TREE_FILE, "b");
	resolve("abs-root", TREE_DIRECTORY, NULL);
	resolve("abs-root/abs-root/a.txt", TREE_FILE, "a");
	resolve("chain40", TREE_FILE, "a");
	resolve("chain41", TREE_NOT_FOUND, NULL);
	resolve("loop", TREE_NOT_FOUND, NULL);
	resolve("loop1", TREE_NOT_FOUND, NULL);
	resolve("loop1/x", TREE_NOT_FOUND, NULL);
	resolve("dangling", TREE_NOT_FOUND, NULL);
	resolve("file-slash", TREE_NOT_FOUND, NULL);
}

static const char *const leading_out[] = { "out", "out-dir", "out-dir/",
	"out-dir/secret", "out-back", "out-same", "d/out", "out-chain", "out-etc",
	"out-root", "out-root/etc/passwd", "out-up", "proc", "abs-out",
	"abs-next", "root/out", "d/root/out-etc" };

static void
check_links_outside(void)
{
	size_t i;

	for (i = 0; i < sizeof(leading_out) / sizeof(leading_out[0]); i++)
		resolve(leading_out[i], TREE_NOT_FOUND, NULL);
}

static void
check_all(void)
{
	int before = open_count();

	check_names();
	check_links_inside();
	check_links_outside();
	assert_int_equal(open_count(), before);
}

static void
test_kernel(void **state)
{
	(void)state;
	if (!kernel_way)
		skip();
	check_all();
}

static void
test_walk(void **state)
{
	(void)state;
	tree.beneath = false;
	check_all();
	tree.beneath = kernel_way;
}

static void
test_follow(void **state)
{
	(void)state;
	tree.follow = true;
	check_names();
	check_links_inside();
	resolve("out", TREE_FILE, "secret");
	resolve("out-dir", TREE_DIRECTORY, NULL);
	resolve("out-dir/secret", TREE_FILE, "secret");
	resolve("out-back", TREE_FILE, "a");
	resolve("abs-next", TREE_FILE, "secret");
	tree.follow = false;
}

/* Devices and sockets are there, but are no files. */
static void
test_special(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int way;

	(void)state;
	strcpy(sa.sun_path, "socket");
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (way = 0; way < 2; way++) {
		tree.beneath = way == 0 && kernel_way;
		resolve("socket", TREE_NOT_FOUND, NULL);
		resolve("fifo", TREE_NOT_FOUND, NULL);
	}
	tree.beneath = kernel_way;
	close(fd);
	unlink("socket");
}

static void
test_unreadable(void **state)
{
	int way;

	(void)state;
	make_file("private", "x");
	assert_int_equal(chmod("private", 0), 0);
	assert_int_equal(mkdir("closed", 0755), 0);
	make_file("closed/x", "x");
	assert_int_equal(mkdir("pass", 0755), 0);
	make_file("pass/x", "x");
	assert_int_equal(chmod("closed", 0), 0);
	assert_int_equal(chmod("pass", 0711), 0);
	/* Root reads everything. */
	if (getuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	for (way = 0; way < 2; way++) {
		tree.beneath = way == 0 && kernel_way;
		resolve("private", TREE_FORBIDDEN, NULL);
		resolve("closed/x", TREE_FORBIDDEN, NULL);
		resolve("closed/nothing", TREE_FORBIDDEN, NULL);
		resolve("pass/x", TREE_FILE, "x");
		resolve("pass", TREE_DIRECTORY, NULL);
		resolve("pass/", TREE_DIRECTORY, NULL);
	}
	tree.beneath = kernel_way;
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod("closed", 0755), 0);
}

/* Open by which of the two ways, or the errno, as a text. */
static void
outcome(const char *name, bool by_kernel, char out[64])
{
	struct stat st;
	int fd;
	enum tree_verdict verdict;

	tree.beneath = by_kernel;
	verdict = tree_resolve(&tree, name, &fd, &st);
	if (fd >= 0) {
		snprintf(out, 64, "file %ju", (uintmax_t)st.st_ino);
		close(fd);
	} else {
		snprintf(out, 64, "verdict %d", (int)verdict);
	}
}

/*
 * A thicket of links between a few directories, made from fixed random
 * numbers: the kernel and we come to the same file or the same refusal.
 */
static void
test_agreement(void **state)
{
	static const char *const dirs[] = { "t", "t/a", "t/a/b", "t/c" };
	static const char *const parts[] = { "..", "a", "b", "c", "l0", "l1",
		"l2", "l3", "l4", "l5", "t", "f", ".", "l6", "l7" };
	uint32_t seed = 12345;
	int files = 0, i, j;

	(void)state;
	if (!kernel_way)
		skip();
	for (i = 0; i < 4; i++) {
		char name[64];

		assert_int_equal(mkdir(dirs[i], 0755), 0);
		snprintf(name, sizeof(name), "%s/f", dirs[i]);
		make_file(name, dirs[i]);
	}
	for (i = 0; i < 32; i++) {
		char name[64], target[64] = "";

		snprintf(name, sizeof(name), "%s/l%d", dirs[i % 4], i / 4);
		for (j = 0; j < 1 + i % 3; j++) {
			seed = seed * 1103515245 + 12345;
			if (j > 0)
				strcat(target, "/");
			strcat(target, parts[(seed >> 16) % 13]);
		}
		make_link(name, target);
	}
	for (i = 0; i < 20000; i++) {
		char name[64] = "t", kernel[64], ours[64];

		for (j = 0; j < 1 + i % 6; j++) {
			seed = seed * 1103515245 + 12345;
			strcat(name, "/");
			strcat(name, parts[(seed >> 16) % 15]);
		}
		if (i % 2 == 0)
			strcat(name, "/f");
		outcome(name, true, kernel);
		outcome(name, false, ours);
		if (strcmp(kernel, ours) != 0)
			print_message("# %s\n", name);
		assert_string_equal(kernel, ours);
		files += kernel[0] == 'f';
	}
	tree.beneath = kernel_way;
	/* The thicket has ways through. */
	assert_true(files > 500);
}

/*
 * Somebody exchanges a directory and a link that leads out, again and again,
 * while names below it are resolved: nothing from outside is ever opened.
 */
static void
test_race(void **state)
{
	int way, i, inside = 0;
	pid_t child;

	(void)state;
	assert_int_equal(mkdir("flip", 0755), 0);
	make_file("flip/secret", "mine");
	make_link("flop", "../out");
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (renameat2(AT_FDCWD, "flip", AT_FDCWD, "flop",
			   RENAME_EXCHANGE) == 0)
			continue;
		_exit(1);
	}
	for (way = 0; way < 2; way++) {
		tree.beneath = way == 0 && kernel_way;
		for (i = 0; i < 10000; i++) {
			char buf[16] = "";
			struct stat st;
			int fd;

			if (tree_resolve(&tree, "flip/secret", &fd, &st) !=
			    TREE_FILE)
				continue;
			assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
			close(fd);
			assert_string_equal(buf, "mine");
			inside++;
		}
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	tree.beneath = kernel_way;
	assert_true(inside > 0);
}

/* A deployment exchanges the link that is served. */
static void
test_refresh(void **state)
{
	char name[2 * PATH_MAX];
	struct tree kept = tree;

	(void)state;
	snprintf(name, sizeof(name), "%s/current", base);
	assert_int_equal(symlink("site", name), 0);
	assert_int_equal(tree_open(&tree, name, false), 0);
	resolve("a.txt", TREE_FILE, "a");
	resolve("secret", TREE_NOT_FOUND, NULL);
	tree_refresh(&tree);
	resolve("a.txt", TREE_FILE, "a");

	/* While there is none, the old one stays. */
	assert_int_equal(unlink(name), 0);
	tree_refresh(&tree);
	resolve("a.txt", TREE_FILE, "a");
	assert_int_equal(symlink("out", name), 0);
	tree_refresh(&tree);
	resolve("a.txt", TREE_NOT_FOUND, NULL);
	resolve("secret", TREE_FILE, "secret");

	assert_int_equal(unlink(name), 0);
	make_file(name, "");
	tree_refresh(&tree);
	resolve("secret", TREE_FILE, "secret");
	tree_close(&tree);
	tree = kept;
}

/* Links that name the root as the operator does, through another link. */
static void
test_alias(void **state)
{
	char name[2 * PATH_MAX], inside[3 * PATH_MAX];
	struct tree kept = tree;

	(void)state;
	snprintf(name, sizeof(name), "%s/alias/", base);
	snprintf(inside, sizeof(inside), "%sa.txt", name);
	make_link("by-alias", inside);
	name[strlen(name) - 1] = '\0';
	make_link(name, "site");
	strcat(name, "/");
	assert_int_equal(tree_open(&tree, name, false), 0);
	resolve("by-alias", TREE_FILE, "a");
	tree_close(&tree);
	tree = kept;
	resolve("by-alias", TREE_NOT_FOUND, NULL);
}

static void
test_open_fails(void **state)
{
	struct tree t;

	(void)state;
	assert_int_equal(tree_open(&t, "/nonexistent", false), -1);
	assert_int_equal(errno, ENOENT);
	tree_close(&t);
	assert_int_equal(tree_open(&t, "a.txt", false), -1);
	assert_int_equal(errno, ENOTDIR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_open_fails),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
