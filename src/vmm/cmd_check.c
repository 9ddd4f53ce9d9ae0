/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/disks.h"
#include "vmm/verdict.h"

#include "arch/arch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int check(const char *path, struct findings *out, struct err *e)
{
	struct io_src src;
	struct snap *snap = NULL;
	int kvm_fd = -1, fd = open(path, O_RDONLY | O_CLOEXEC);
	struct host *host = calloc(1, sizeof *host);
	int r = fd < 0 ? err_sys(e, ERR_IO, errno, "cannot open") : io_src_fd(&src, fd, e);

	if (!r)
		r = snap_open(&src, &snap, e);
	if (r)
		err_file(e, path);
	if (!r)
		r = host ? arch_kvm_open(&kvm_fd, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = arch_host(kvm_fd, host, e);
	if (!r)
		r = verdict_snapshot(snap_manifest(snap), host, out, e);
	if (!r)
		r = disks_verdict(snap_manifest(snap), out, e);
	snap_close(snap);
	free(host);
	if (kvm_fd >= 0)
		close(kvm_fd);
	if (fd >= 0)
		close(fd);
	return r;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct option_spec spec[] = {
		{0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	};
	struct err e = ERR_INIT;
	const char *path;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &path);

	if (status >= 0)
		return status;
	struct findings *f = calloc(1, sizeof *f);
	int r = f ? check(path, f, &e) : err_set(&e, ERR_NOMEM, "out of memory");
	if (r) {
		status = fail(&e);
	} else {
		status = findings_verdict(f) == VERDICT_INCOMPATIBLE ? STATUS_INCOMPATIBLE
								      : STATUS_DONE;
		if (json)
			status = print_json(findings_json(f)) ? STATUS_FAILED : status;
		else
			findings_text(f, stdout);
	}
	free(f);
	return status;
}

const struct command cmd_check = {
	"check", "FILE [--json]", "would this snapshot restore here? exit status 3 if not", run};
