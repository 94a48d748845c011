/* SPDX-License-Identifier: MIT */
#include "arbiter/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

#include "base/err.h"

/* The groups that the user is in; none when the user has no name. */
static int
set_groups(uid_t uid, gid_t gid, struct err *err)
{
	struct passwd *pw = uid != (uid_t)-1 ? getpwuid(uid) : NULL;
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
verify(uid_t uid, gid_t gid, struct err *err)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) == 0 &&
	    getresgid(&rgid, &egid, &sgid) == 0 && ruid == uid &&
	    euid == uid && suid == uid && rgid == gid && egid == gid &&
	    sgid == gid && (uid == 0 || setuid(0) != 0))
		return 0;
	err_set(err, "user %u, group %u: privileges are still there after "
		     "dropping them",
	    (unsigned)uid, (unsigned)gid);
	return -1;
}

int
privileges_drop(uid_t uid, gid_t gid, struct err *err)
{
	if (uid == (uid_t)-1 && gid == (gid_t)-1)
		return 0;
	if (uid == (uid_t)-1)
		uid = getuid();
	if (gid == (gid_t)-1)
		gid = getgid();
	/* Without privileges there is nothing to give up but the name. */
	if (geteuid() != 0 && uid == geteuid() && gid == getegid())
		return 0;
	if (set_groups(uid, gid, err) != 0)
		return -1;
	if (setresgid(gid, gid, gid) != 0) {
		err_sys(err, "group %u", (unsigned)gid);
		return -1;
	}
	if (setresuid(uid, uid, uid) != 0) {
		err_sys(err, "user %u", (unsigned)uid);
		return -1;
	}
	return verify(uid, gid, err);
}
