/* SPDX-License-Identifier: Apache-2.0 */
/* vmm disk info: the chain of an image. Locks nothing, so that it can be asked of a disk in use. */
#include "devices/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

struct info {
	struct disk_image_state facts;
	uint64_t bytes, stored_bytes, clusters, present;
	const char *lock; /* by others */
	char problem[512];
};

static const char *lock_name(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK)
		return "none";
	return lock.l_type == F_WRLCK ? "writing" : "reading";
}

/* @above: the header of the overlay that lies on it, or NULL. */
static int collect(const struct disk_image_fd *img, const struct disk_header *above,
		   struct info *out, struct disk_header *head, struct err *e)
{
	struct err why = ERR_INIT;
	struct disk_layer l;
	struct stat st;
	int r = disk_image_facts_(img, &out->facts, e);

	if (!r)
		r = disk_layer_open_(&l, img, e);
	if (r)
		return r;
	out->bytes = l.bytes;
	out->clusters = (l.bytes + DISK_CLUSTER - 1) / DISK_CLUSTER;
	out->present = l.bitmap ? disk_layer_count_(&l) : out->clusters;
	*head = l.head;
	disk_layer_fini_(&l);
	if (fstat(img->fd, &st))
		return err_sys(e, ERR_IO, errno, "%s: cannot stat", img->path);
	out->stored_bytes = (uint64_t)st.st_blocks * 512;
	out->lock = lock_name(img->fd);
	out->problem[0] = '\0';
	if (img->format == DISK_OVERLAY && head->committing)
		snprintf(out->problem, sizeof out->problem,
			 "its commit was broken off: commit it again");
	else if (above && !above->committing && disk_parent_check_(&above->parent, img, &why))
		snprintf(out->problem, sizeof out->problem, "%s", why.msg);
	return 0;
}

static void print_text(const struct info *x, FILE *out)
{
	const struct disk_image_state *f = &x->facts;
	char id[2 * sizeof f->uuid + 1];

	fprintf(out, "%s\n", f->path);
	fprintf(out, "    format      %s%s\n", f->format == DISK_RAW ? "raw" : "overlay",
		f->frozen ? ", frozen" : "");
	fprintf(out, "    disk        %llu bytes\n", (unsigned long long)x->bytes);
	fprintf(out, "    stored      %llu bytes\n", (unsigned long long)x->stored_bytes);
	if (f->format == DISK_OVERLAY) {
		fprintf(out, "    clusters    %llu of %llu\n", (unsigned long long)x->present,
			(unsigned long long)x->clusters);
		fprintf(out, "    uuid        %s\n", num_hex(f->uuid, sizeof f->uuid, id));
		num_hex(f->generation, sizeof f->generation, id);
		fprintf(out, "    generation  %s\n", id);
	}
	fprintf(out, "    written     @%llu.%09llu\n",
		(unsigned long long)(f->mtime_ns / 1000000000u),
		(unsigned long long)(f->mtime_ns % 1000000000u));
	fprintf(out, "    locked for  %s\n", x->lock);
	if (x->problem[0])
		fprintf(out, "    problem     %s\n", x->problem);
}

static json_t *to_json(const struct info *x)
{
	const struct disk_image_state *f = &x->facts;
	char uuid[2 * sizeof f->uuid + 1], generation[2 * sizeof f->generation + 1];

	num_hex(f->uuid, sizeof f->uuid, uuid);
	num_hex(f->generation, sizeof f->generation, generation);
	json_t *o =
	    json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:s, s:s?}", "path", f->path, "format",
		      f->format == DISK_RAW ? "raw" : "overlay", "frozen", f->frozen, "bytes",
		      (json_int_t)x->bytes, "file_bytes", (json_int_t)f->file_bytes, "stored_bytes",
		      (json_int_t)x->stored_bytes, "mtime_ns", (json_int_t)f->mtime_ns,
		      "locked_for", x->lock, "problem", x->problem[0] ? x->problem : NULL);
	if (o && f->format == DISK_OVERLAY)
		json_object_update_new(o, json_pack("{s:I, s:I, s:s, s:s}", "clusters",
						    (json_int_t)x->clusters, "clusters_present",
						    (json_int_t)x->present, "uuid", uuid,
						    "generation", generation));
	return o;
}

int disk_tool_info(const char *path, bool json, FILE *out, struct err *e)
{
	struct disk_chain chain = {0};
	struct disk_header head[2];
	json_t *list = json_array();
	int opened = disk_chain_open_(path, DISK_FOR_LOOKING, &chain, e);
	int r = chain.n ? 0 : opened;

	for (uint32_t i = 0; i < chain.n && !r; i++) {
		struct info x;
		/* Once everything is told, the failure to open all of it is still the result. */
		struct err *why = opened ? NULL : e;
		r = collect(&chain.image[i], i ? &head[(i - 1) % 2] : NULL, &x, &head[i % 2], why);
		if (r)
			break;
		if (json)
			json_array_append_new(list, to_json(&x));
		else
			print_text(&x, out);
	}
	if (json && chain.n) {
		json_t *o = json_pack("{s:O}", "images", list);
		json_dumpf(o, out, JSON_INDENT(2));
		fputc('\n', out);
		json_decref(o);
	}
	json_decref(list);
	disk_chain_close(&chain);
	return opened ? opened : r;
}
