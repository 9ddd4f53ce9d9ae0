/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fill(struct err *e, int code, int sys, uint64_t offset, const char *fmt, va_list ap)
{
	if (e) {
		e->code = code;
		e->sys = sys;
		e->offset = offset;
		e->file[0] = '\0';
		e->where[0] = '\0';
		vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	}
	return -code;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = fill(e, code, 0, ERR_NO_OFFSET, fmt, ap);
	va_end(ap);
	return r;
}

int err_sys(struct err *e, enum err_code code, int sys_errno, const char *fmt, ...)
{
	va_list ap;

	if (sys_errno == ENOSPC || sys_errno == EDQUOT)
		code = ERR_NOSPACE;
	else if (sys_errno == ENOMEM)
		code = ERR_NOMEM;
	va_start(ap, fmt);
	int r = fill(e, code, sys_errno, ERR_NO_OFFSET, fmt, ap);
	va_end(ap);
	return r;
}

int err_at(struct err *e, enum err_code code, uint64_t offset, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = fill(e, code, 0, offset, fmt, ap);
	va_end(ap);
	return r;
}

void err_where(struct err *e, const char *fmt, ...)
{
	char outer[sizeof e->where], both[2 * sizeof e->where + 1];
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	vsnprintf(outer, sizeof outer, fmt, ap);
	va_end(ap);
	snprintf(both, sizeof both, "%s%s%s", outer, e->where[0] ? "." : "", e->where);
	memcpy(e->where, both, sizeof e->where - 1);
	e->where[sizeof e->where - 1] = '\0';
}

void err_file(struct err *e, const char *path)
{
	if (e && !e->file[0])
		snprintf(e->file, sizeof e->file, "%s", path);
}

const char *err_text(const struct err *e, char *buf, size_t size)
{
	char offset[32] = "";

	if (e->offset != ERR_NO_OFFSET)
		snprintf(offset, sizeof offset, "0x%llx: ", (unsigned long long)e->offset);
	snprintf(buf, size, "%s%s%s%s%s%s%s%s", e->file, e->file[0] ? ": " : "", offset, e->where, e->where[0] ? ": " : "", e->msg,
		 e->sys ? ": " : "", e->sys ? strerror(e->sys) : "");
	return buf;
}

const char *err_code_name(int code)
{
	switch (code) {
	case ERR_USAGE: return "USAGE";
	case ERR_NAME: return "NAME";
	case ERR_WRONG_STATE: return "WRONG_STATE";
	case ERR_TRUNCATED: return "TRUNCATED";
	case ERR_MAGIC: return "MAGIC";
	case ERR_VERSION: return "VERSION";
	case ERR_FEATURE: return "FEATURE";
	case ERR_CHECKSUM: return "CHECKSUM";
	case ERR_ENCODING: return "ENCODING";
	case ERR_TYPE: return "TYPE";
	case ERR_RANGE: return "RANGE";
	case ERR_MISSING: return "MISSING";
	case ERR_UNKNOWN: return "UNKNOWN";
	case ERR_DUPLICATE: return "DUPLICATE";
	case ERR_LIMIT: return "LIMIT";
	case ERR_STRUCTURE: return "STRUCTURE";
	case ERR_SIGNATURE: return "SIGNATURE";
	case ERR_KEY: return "KEY";
	case ERR_INCOMPATIBLE: return "INCOMPATIBLE";
	case ERR_IO: return "IO";
	case ERR_NOSPACE: return "NOSPACE";
	case ERR_NOMEM: return "NOMEM";
	case ERR_KVM: return "KVM";
	case ERR_BUSY: return "BUSY";
	case ERR_TIMEOUT: return "TIMEOUT";
	case ERR_CANCELLED: return "CANCELLED";
	case ERR_BUG: return "BUG";
	}
	return "?";
}
