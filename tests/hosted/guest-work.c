/* What a test guest does all the time, and how it is checked. */
#define _GNU_SOURCE
#include "guest-work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	CPUS_MAX = 64,
	SLOTS = 24,            /* files kept; bounds the disk space used */
	FILE_BYTES_MAX = 32 << 10,
	HISTORY = 64,          /* monitor samples kept */
	PAGE_BYTES = 4096,
	PAGE_WORDS = PAGE_BYTES / 8,
};

void die(const char *what)
{
	printf("guest-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

void thread_start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		die("thread");
	pthread_detach(thread);
}

/* splitmix64: any number gives a well mixed one, so contents need no store. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Clocks and CPUs: a thread on each CPU, and one that samples all clocks. */

static int cpus;
static atomic_ullong ticks[CPUS_MAX];
static atomic_llong mono_newest;
static atomic_ullong mono_back;
static atomic_bool load;

static void mono_look(int64_t *own)
{
	/* Read before the clock: another CPU may be ahead only from then on. */
	long long newest = atomic_load(&mono_newest);
	int64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now < *own || now < newest)
		atomic_fetch_add(&mono_back, 1);
	*own = now;
	while (now > newest &&
	       !atomic_compare_exchange_weak(&mono_newest, &newest, now))
		;
}

static void *tick_run(void *arg)
{
	int cpu = (int)(intptr_t)arg;
	int64_t own = 0;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("affinity");
	for (;;) {
		mono_look(&own);
		atomic_fetch_add(&ticks[cpu], 1);
		if (!atomic_load(&load))
			sleep_ms(2);
	}
	return NULL;
}

struct sample {
	uint64_t seq, sum;
	int64_t mono_ns, boot_ns, real_ns;
};

static struct sample history[HISTORY];
static atomic_ullong seq, gaps;
static atomic_llong step_mono_ns, step_boot_ns, step_real_ns, real_back_ns;

static uint64_t sample_sum(const struct sample *s)
{
	return mix(s->seq ^ mix((uint64_t)s->mono_ns ^ mix(
		(uint64_t)s->boot_ns ^ mix((uint64_t)s->real_ns))));
}

static void keep_max(atomic_llong *max, long long value)
{
	if (value > atomic_load(max))
		atomic_store(max, value);
}

/*
 * The sequence is read back from memory before it goes on, so that RAM put
 * back wrong shows as a gap; the sums tell a torn sample from an old one.
 */
static void *monitor_run(void *arg)
{
	int64_t own = 0;

	(void)arg;
	for (uint64_t n = 1;; n++) {
		struct sample *last = &history[(n - 1) % HISTORY];
		struct sample s = {
			.seq = n,
			.mono_ns = clock_ns(CLOCK_MONOTONIC),
			.boot_ns = clock_ns(CLOCK_BOOTTIME),
			.real_ns = clock_ns(CLOCK_REALTIME),
		};

		s.sum = sample_sum(&s);
		if (n > 1) {
			if (last->seq != n - 1 || last->sum != sample_sum(last) ||
			    atomic_load(&seq) != n - 1)
				atomic_fetch_add(&gaps, 1);
			keep_max(&step_mono_ns, s.mono_ns - last->mono_ns);
			keep_max(&step_boot_ns, s.boot_ns - last->boot_ns);
			keep_max(&step_real_ns, s.real_ns - last->real_ns);
			keep_max(&real_back_ns, last->real_ns - s.real_ns);
		}
		history[n % HISTORY] = s;
		atomic_store(&seq, n);
		mono_look(&own);
		sleep_ms(10);
	}
	return NULL;
}

/* Disk: file n lies in slot n % SLOTS and follows from n alone. */

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;
static bool quiesced;
static uint64_t slot_number[SLOTS];  /* what each slot must hold; 0: nothing */
static atomic_ullong files_written, files_bad, write_errors;

static size_t file_make(uint64_t n, uint64_t *words)
{
	size_t count = 64 + mix(n) % (FILE_BYTES_MAX / 8 - 64);
	uint64_t sum = 0;

	words[0] = n;
	for (size_t i = 1; i < count - 1; i++) {
		words[i] = mix(n << 16 | i);
		sum = mix(sum ^ words[i]);
	}
	words[count - 1] = sum;
	return count * 8;
}

bool write_whole(const char *path, const void *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	bool ok = fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes &&
		  !fsync(fd);

	if (fd >= 0)
		close(fd);
	return ok;
}

ssize_t read_whole(const char *path, void *data, size_t room)
{
	int fd = open(path, O_RDONLY);
	ssize_t bytes;

	if (fd < 0)
		return -1;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	bytes = read(fd, data, room);
	close(fd);
	return bytes;
}

static void slot_path(char path[static 32], unsigned slot)
{
	snprintf(path, 32, "/data/slot-%02u", slot);
}

static bool slot_good(unsigned slot)
{
	static uint64_t want[FILE_BYTES_MAX / 8], have[FILE_BYTES_MAX / 8 + 1];
	char path[32];
	ssize_t bytes;

	slot_path(path, slot);
	bytes = read_whole(path, have, sizeof(have));
	/* An older but sound file is bad too: disk and RAM are of two times. */
	return bytes >= 8 && have[0] == slot_number[slot] &&
	       (size_t)bytes == file_make(have[0], want) &&
	       !memcmp(have, want, (size_t)bytes);
}

static bool slot_write(uint64_t n)
{
	static uint64_t words[FILE_BYTES_MAX / 8];
	char path[32];
	int dir;
	bool ok;

	slot_path(path, n % SLOTS);
	ok = write_whole("/data/new", words, file_make(n, words)) &&
	     !rename("/data/new", path);
	dir = open("/data", O_RDONLY | O_DIRECTORY);
	ok = ok && dir >= 0 && !fsync(dir);
	if (dir >= 0)
		close(dir);
	return ok;
}

static uint64_t slots_scan(void)
{
	uint64_t newest = 0;

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		char path[32];

		slot_path(path, slot);
		if (read_whole(path, &slot_number[slot], 8) != 8)
			slot_number[slot] = 0;
		if (slot_number[slot] > newest)
			newest = slot_number[slot];
	}
	return newest;
}

static void *disk_run(void *arg)
{
	uint64_t n = slots_scan() + 1;

	(void)arg;
	for (;; sleep_ms(20)) {
		unsigned slot = n % SLOTS;

		pthread_mutex_lock(&disk);
		if (!quiesced) {
			if (slot_number[slot] && !slot_good(slot))
				atomic_fetch_add(&files_bad, 1);
			if (slot_write(n)) {
				slot_number[slot] = n++;
				atomic_fetch_add(&files_written, 1);
			} else {
				atomic_fetch_add(&write_errors, 1);
			}
		}
		pthread_mutex_unlock(&disk);
	}
	return NULL;
}

/* RAM: every page says which version it is; the rest follows from that. */

static pthread_mutex_t ram = PTHREAD_MUTEX_INITIALIZER;
static uint64_t *ram_words;
static uint64_t *ram_version;
static size_t ram_pages;
static atomic_ullong ram_writes;

static uint64_t page_word(size_t page, uint64_t version, size_t i)
{
	return mix((uint64_t)page << 9 ^ i) + version;
}

static void page_write(size_t page)
{
	uint64_t *words = ram_words + page * PAGE_WORDS;
	uint64_t version = ++ram_version[page];

	for (size_t i = 0; i < PAGE_WORDS; i++)
		words[i] = page_word(page, version, i);
	atomic_fetch_add(&ram_writes, 1);
}

static bool page_good(size_t page)
{
	const uint64_t *words = ram_words + page * PAGE_WORDS;

	for (size_t i = 0; i < PAGE_WORDS; i++)
		if (words[i] != page_word(page, ram_version[page], i))
			return false;
	return true;
}

static void *ram_run(void *arg)
{
	(void)arg;
	for (uint64_t n = 0;; n++) {
		/* In bursts, so that an idle guest stays mostly idle. */
		if (n % 16 == 0)
			sleep_ms(10);
		pthread_mutex_lock(&ram);
		page_write(mix(n) % ram_pages);
		pthread_mutex_unlock(&ram);
	}
	return NULL;
}

const char *ram_start(size_t mib)
{
	size_t bytes = mib << 20;

	if (ram_pages || !mib || mib > 1 << 20)
		return "once only, and at least 1";
	ram_words = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ram_version = calloc(bytes / PAGE_BYTES, sizeof(*ram_version));
	if (ram_words == MAP_FAILED || !ram_version)
		return strerror(errno);
	ram_pages = bytes / PAGE_BYTES;
	for (size_t page = 0; page < ram_pages; page++)
		page_write(page);
	thread_start(ram_run, NULL);
	return NULL;
}

/* Randomness: virtio-rng, through the kernel's own interface to it. */

static atomic_ullong rng_bytes;

static void *rng_run(void *arg)
{
	(void)arg;
	for (;; sleep_ms(500)) {
		char bytes[16];
		int fd = open("/dev/hwrng", O_RDONLY);
		ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));

		if (got > 0)
			atomic_fetch_add(&rng_bytes, (unsigned long long)got);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

void work_start(void)
{
	cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (cpus > CPUS_MAX)
		cpus = CPUS_MAX;
	for (int i = 0; i < cpus; i++)
		thread_start(tick_run, (void *)(intptr_t)i);
	thread_start(monitor_run, NULL);
	thread_start(disk_run, NULL);
	thread_start(rng_run, NULL);
}

void load_set(bool on)
{
	atomic_store(&load, on);
}

void clocks_clear(void)
{
	atomic_store(&step_mono_ns, 0);
	atomic_store(&step_boot_ns, 0);
	atomic_store(&step_real_ns, 0);
	atomic_store(&real_back_ns, 0);
}

void disk_quiesce(bool on)
{
	pthread_mutex_lock(&disk);
	quiesced = on;
	pthread_mutex_unlock(&disk);
	if (on)
		sync();
}

void disk_stop(void)
{
	pthread_mutex_lock(&disk);
	sync();
}

void status_print(FILE *f)
{
	fprintf(f, "\"seq\":%llu,\"gaps\":%llu,\"mono_back\":%llu,",
		atomic_load(&seq), atomic_load(&gaps), atomic_load(&mono_back));
	fprintf(f, "\"mono_ns\":%lld,\"boot_ns\":%lld,\"real_ns\":%lld,",
		(long long)clock_ns(CLOCK_MONOTONIC),
		(long long)clock_ns(CLOCK_BOOTTIME),
		(long long)clock_ns(CLOCK_REALTIME));
	fprintf(f, "\"step_mono_ns\":%lld,\"step_boot_ns\":%lld,"
		"\"step_real_ns\":%lld,\"real_back_ns\":%lld,",
		atomic_load(&step_mono_ns), atomic_load(&step_boot_ns),
		atomic_load(&step_real_ns), atomic_load(&real_back_ns));
	fprintf(f, "\"ticks\":[");
	for (int i = 0; i < cpus; i++)
		fprintf(f, "%s%llu", i ? "," : "", atomic_load(&ticks[i]));
	fprintf(f, "],\"files_written\":%llu,\"files_bad\":%llu,"
		"\"write_errors\":%llu,\"ram_writes\":%llu,"
		"\"rng_bytes\":%llu,\"uptime\":%.3f",
		atomic_load(&files_written), atomic_load(&files_bad),
		atomic_load(&write_errors), atomic_load(&ram_writes),
		atomic_load(&rng_bytes),
		(double)clock_ns(CLOCK_BOOTTIME) / 1e9);
}

void verify_print(FILE *f)
{
	unsigned verified = 0, bad = 0;
	size_t bad_pages = 0;

	pthread_mutex_lock(&disk);
	sync();
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!slot_number[slot])
			continue;
		verified++;
		bad += !slot_good(slot);
	}
	pthread_mutex_unlock(&disk);
	pthread_mutex_lock(&ram);
	for (size_t page = 0; page < ram_pages; page++)
		bad_pages += !page_good(page);
	pthread_mutex_unlock(&ram);
	fprintf(f, "\"verified\":%u,\"bad\":%u,\"ram_pages\":%zu,"
		"\"ram_bad\":%zu", verified, bad, ram_pages, bad_pages);
}
