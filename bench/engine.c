/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine CONTENTS FILE raw|LEVEL CHUNK-BYTES: saves RAM of these contents to FILE and loads it
 * again, by the library that vmm does it with and by two threads, and reads chunks in any order. No
 * KVM. Prints what each took as JSON; fails when anything but the contents comes back.
 */
#include "../tests/snapshot/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define THREADS 2
#define READS	4096

/* In one piece of memory, at addresses that are its offsets. */
static struct fixture f;

struct took {
	double seconds, cpu;
};

static void must(int r, const struct err *e)
{
	if (!r)
		return;
	fprintf(stderr, "engine: %s\n", e->msg);
	exit(1);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct took now(void)
{
	return (struct took){(double)io_now_ns() / 1e9, cpu_seconds()};
}

static struct took since(struct took start)
{
	struct took end = now();

	return (struct took){end.seconds - start.seconds, end.cpu - start.cpu};
}

/* Holes stay holes. */
static void fill(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct io_src src;
	struct err e = ERR_INIT;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		fprintf(stderr, "engine: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	fixture_init_regions(&f, &(struct fixture_ram){0, (uint64_t)st.st_size / MIB * MIB}, 1);
	must(io_src_fd(&src, fd, &e), &e);
	for (uint64_t at = 0; (at = io_next_data(&src, at)) < f.ram.size; at += 4096) {
		at = at / 4096 * 4096;
		must(io_read_at(&src, f.ram.host + at, 4096, at, &e), &e);
	}
	close(fd);
}

static struct took save(const char *path, const struct snap_write_opts *o, struct snap_stats *stats)
{
	struct err e = ERR_INIT;
	struct took start = now();
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(snap_write(fd, &f.manifest, &f.ram, o, stats, &e), &e);
	must(fsync(fd) ? err_sys(&e, ERR_IO, errno, "fsync") : 0, &e);
	close(fd);
	return since(start);
}

static struct took load(struct snap *s)
{
	const struct snap_load_opts o = {.threads = THREADS};
	struct guest_mem ram;
	struct err e = ERR_INIT;
	struct took start = now();

	must(mem_init(&ram, &f.layout, &e), &e);
	must(snap_load_ram(s, &ram, &o, &e), &e);
	struct took t = since(start);
	if (memcmp(ram.host, f.ram.host, ram.size)) {
		fprintf(stderr, "engine: other contents came back\n");
		exit(1);
	}
	mem_fini(&ram);
	return t;
}

/* Of chunks that hold something, as a guest asks for them that runs before its memory is there. */
static double read_one(struct snap *s)
{
	struct snap_reader *r;
	struct err e = ERR_INIT;
	uint64_t seed = 1, ns = 0, zeros;
	uint8_t *out = malloc(SNAP_CHUNK_MAX);

	must(snap_reader_new(s, &r, &e), &e);
	for (unsigned n = 0; n < READS;) {
		uint64_t chunk = fixture_random(&seed) % snap_info(s)->chunks;
		must(snap_reader_zeros(r, chunk, &zeros, &e), &e);
		if (zeros)
			continue;
		uint64_t start = io_now_ns();
		must(snap_reader_chunk(r, chunk, out, &e), &e);
		ns += io_now_ns() - start;
		n++;
	}
	snap_reader_free(r);
	free(out);
	return (double)ns / READS / 1e9;
}

int main(int argc, char **argv)
{
	struct snap_stats stats;
	struct err e = ERR_INIT;
	struct snap *s;

	if (argc != 5) {
		fprintf(stderr, "usage: engine CONTENTS FILE raw|LEVEL CHUNK-BYTES\n");
		return 2;
	}
	const struct snap_write_opts o = {
	    .threads = THREADS,
	    .raw = !strcmp(argv[3], "raw"),
	    .level = (unsigned)atoi(argv[3]),
	    .chunk_bytes = (uint32_t)atoi(argv[4]),
	};
	fill(argv[1]);
	/* Once before: what a machine takes for memory that it has not used lately is its own. */
	save(argv[2], &o, &stats);
	struct took saved = save(argv[2], &o, &stats);
	must(snap_open_file(argv[2], NULL, &s, &e), &e);
	struct took loaded = load(s);
	printf("{\"save\": %.6f, \"save_cpu\": %.6f, \"bytes\": %llu, \"load\": %.6f, "
	       "\"load_cpu\": %.6f, \"chunk\": %.9f}\n",
	       saved.seconds, saved.cpu, (unsigned long long)stats.stored_bytes, loaded.seconds,
	       loaded.cpu, read_one(s));
	snap_close(s);
	fixture_fini(&f);
	return 0;
}
