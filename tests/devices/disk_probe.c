/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the disk code makes of a file, in the words of tests/disk_reader.py:
 *   disk_probe FILE            description and digest, or CODE@0xOFFSET and exit status 1
 *   disk_probe --make SEED     base.raw, a.vmdisk and b.vmdisk in this directory, with random
 * contents
 */
#include "devices/disk_image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int result;

static void on_done(struct disk_req *req, int r)
{
	result = r;
}

static int transfer(struct disk *d, enum disk_op op, uint64_t offset, void *data, uint64_t bytes)
{
	struct iovec iov = {data, bytes};
	struct disk_req req = {
	    .op = op, .offset = offset, .bytes = bytes, .iov = &iov, .iov_n = 1, .done = on_done};

	disk_submit(d, &req);
	disk_drain(d);
	return result;
}

static void print_id(const char *name, const uint8_t *id)
{
	printf(", %s ", name);
	for (int i = 0; i < 16; i++)
		printf("%02x", id[i]);
}

static int describe(const struct disk_chain *chain, struct err *e)
{
	for (uint32_t i = 0; i < chain->n; i++) {
		struct disk_layer l;
		char path[DISK_PATH_MAX + 1];
		int r = disk_layer_open_(&l, &chain->image[i], e);
		if (r)
			return r;
		strcpy(path, l.img.path);
		printf("%s %s: %" PRIu64 " bytes", l.bitmap ? "overlay" : "raw", basename(path),
		       l.bytes);
		if (l.bitmap) {
			printf(", %" PRIu64 " of %" PRIu64 " clusters", disk_layer_count_(&l),
			       (l.bytes + DISK_CLUSTER - 1) / DISK_CLUSTER);
			print_id("uuid", l.head.uuid);
			print_id("generation", l.head.generation);
		}
		putchar('\n');
		disk_layer_fini_(&l);
	}
	return 0;
}

static int probe(struct loop *l, const char *path, struct err *e)
{
	struct disk_chain chain;
	struct disk *d;
	uint8_t digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];
	int r = disk_chain_open(path, false, &chain, e);

	if (r)
		return r;
	r = disk_open(l, &chain, true, &d, e);
	if (r)
		return r;
	r = describe(&chain, e);
	uint8_t *data = malloc(disk_bytes(d));
	if (!r && transfer(d, DISK_READ, 0, data, disk_bytes(d)))
		r = err_set(e, ERR_IO, "cannot read");
	sha256_of(data, disk_bytes(d), digest);
	free(data);
	if (disk_close(d, e) || r)
		return -e->code;
	printf("sha256 %s\n", sha256_hex(digest, hex));
	return 0;
}

static int fill(struct loop *l, const char *path, struct err *e)
{
	struct disk_chain chain;
	struct disk *d;
	uint8_t *data = malloc(64 * KIB);
	int r = disk_chain_open(path, true, &chain, e);

	if (!r)
		r = disk_open(l, &chain, false, &d, e);
	for (int i = 0; !r && i < 60; i++) {
		uint64_t sectors = disk_bytes(d) / DISK_SECTOR;
		uint64_t at = (uint64_t)rand() % sectors;
		uint64_t n = 1 + (uint64_t)rand() % (rand() % 4 ? 16 : 128);
		n = n < sectors - at ? n : sectors - at;
		memset(data, rand(), 64 * KIB);
		enum disk_op op = rand() % 4 ? DISK_WRITE : rand() % 2 ? DISK_ZERO : DISK_DISCARD;
		if (transfer(d, op, at * DISK_SECTOR, data, n * DISK_SECTOR))
			r = err_set(e, ERR_IO, "request failed");
	}
	free(data);
	return r ? r : disk_close(d, e);
}

static int make(struct loop *l, struct err *e)
{
	static const char *const path[] = {"base.raw", "a.vmdisk", "b.vmdisk"};
	int fd = open(path[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || ftruncate(fd, DISK_SECTOR * (1000 + rand() % 2000)))
		return err_set(e, ERR_IO, "cannot make base.raw");
	close(fd);
	for (int i = 0; i < 3; i++) {
		struct disk_chain chain;
		struct disk_image_fd img;
		int r = i ? disk_chain_peek(path[i - 1], &chain, e) : 0;
		if (i && !r) {
			r = disk_overlay_create(path[i], &chain, &img, e);
			disk_chain_close(&chain);
			if (!r)
				close(img.fd);
		}
		if (!r)
			r = fill(l, path[i], e);
		if (r)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct loop *l;
	int r = loop_new(&l, &e);

	if (!r && argc == 3 && !strcmp(argv[1], "--make")) {
		srand((unsigned)atoi(argv[2]));
		r = make(l, &e);
	} else if (!r && argc == 2) {
		r = probe(l, argv[1], &e);
	} else {
		return 2;
	}
	if (r && e.offset != ERR_NO_OFFSET)
		printf("%s@0x%" PRIx64 "\n", err_code_name(-r), e.offset);
	else if (r)
		printf("%s\n", err_code_name(-r));
	loop_free(l);
	return r ? 1 : 0;
}
