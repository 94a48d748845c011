/* SPDX-License-Identifier: MIT */
#include "arbiter/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

/* --- users and groups ----------------------------------------------------- */

/* The groups that the user is in; none when the user has no name. */
static int
set_groups(uid_t uid, gid_t gid, bool all, struct err *err)
{
	struct passwd *pw = all && uid != (uid_t)-1 ? getpwuid(uid) : NULL;
	int rc;

	if (pw != NULL)
		rc = initgroups(pw->pw_name, gid);
	else
		rc = setgroups(1, &gid);
	if (rc != 0)
		err_sys(err, "user %u: supplementary groups", (unsigned)uid);
	return rc;
}

static int
set_ids(uid_t uid, gid_t gid, bool all_groups, struct err *err)
{
	if (set_groups(uid, gid, all_groups, err) != 0)
		return -1;
	if (setresgid(gid, gid, gid) != 0) {
		err_sys(err, "group %u", (unsigned)gid);
		return -1;
	}
	if (setresuid(uid, uid, uid) != 0) {
		err_sys(err, "user %u", (unsigned)uid);
		return -1;
	}
	return 0;
}

static int
still_there(uid_t uid, gid_t gid, struct err *err)
{
	err_set(err, "user %u, group %u: privileges are still there after "
		     "dropping them",
	    (unsigned)uid, (unsigned)gid);
	return -1;
}

static int
verify_ids(uid_t uid, gid_t gid, struct err *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) == 0 &&
	    getresgid(&rgid, &egid, &sgid) == 0 && ruid == uid &&
	    euid == uid && suid == uid && rgid == gid && egid == gid &&
	    sgid == gid)
		return 0;
	return still_there(uid, gid, err);
}

/* --- capabilities --------------------------------------------------------- */

/*
 * What no program may ever gain again.  Without CAP_SETPCAP, as in some
 * containers, that is not ours to say; no_new_privs does as much then.
 */
static void
drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) != 0)
			return;
}

/* Those that a service manager gave to a user who is not root, too. */
static int
drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct sets[2];

	/* An old kernel has no ambient set, hence nothing in it. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	memset(sets, 0, sizeof(sets));
	if (syscall(SYS_capset, &header, sets) != 0) {
		err_sys(err, "capabilities");
		return -1;
	}
	return 0;
}

static int
verify_capabilities(struct err *err)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &header, sets) == 0 &&
	    (sets[0].permitted | sets[0].effective | sets[0].inheritable |
		sets[1].permitted | sets[1].effective |
		sets[1].inheritable) == 0 &&
	    setuid(0) != 0)
		return 0;
	return still_there(getuid(), getgid(), err);
}

static int
forbid_new(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	err_sys(err, "no_new_privs");
	return -1;
}

/* --- all of it ------------------------------------------------------------ */

int
privileges_drop(const struct privileges *p, struct err *err)
{
	uid_t uid = p->uid != (uid_t)-1 ? p->uid : getuid();
	gid_t gid = p->gid != (gid_t)-1 ? p->gid : getgid();
	bool named = p->uid != (uid_t)-1 || p->gid != (gid_t)-1;
	/* Without privileges there is nothing to give up but the name. */
	bool same = geteuid() != 0 && uid == geteuid() && gid == getegid();

	/* sudo and its like would be worth nothing without it. */
	if (uid != 0 && p->no_new_privs)
		drop_bounding_set();
	if (named && !same &&
	    (set_ids(uid, gid, p->initgroups, err) != 0 ||
		verify_ids(uid, gid, err) != 0))
		return -1;
	if (geteuid() != 0 && getuid() != 0 &&
	    (drop_capabilities(err) != 0 || verify_capabilities(err) != 0))
		return -1;
	return p->no_new_privs ? forbid_new(err) : 0;
}
