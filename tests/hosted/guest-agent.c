/*
 * guest-agent - proves, from inside a guest, that time, CPUs, disk, RAM and
 * randomness go on as if nothing had happened while the guest is paused,
 * saved, restored or migrated.
 *
 * Usage: guest-agent PORT FACTS
 *
 * Prints "GUEST READY FACTS" on stdout once everything runs, then answers one
 * command a line on PORT and on TCP port 7000. A command may be preceded by a
 * tag, "#17 status"; the answer is one line of JSON that begins {"tag":17, so
 * that a client can tell it from what another client left in the channel.
 *
 *   status             counters and clocks
 *   verify             read back every file from the disk, and all test RAM
 *   quiesce            stop the disk writer and sync; unquiesce goes on
 *   fsync              sync all filesystems
 *   write NAME TEXT    a marker file in /data, on the disk when answered
 *   read NAME          its text, from the disk
 *   ram MIB            keep rewriting so much memory (once; 0 is the default)
 *   hold MIB           have so much memory filled with noise, and what was had before given back;
 *                      the answer has what is free then
 *   load on|off        keep every CPU busy, or let them sleep between ticks
 *   clear              forget the largest clock steps seen
 *   rtc                what the machine's clock chip says, in seconds
 *   random             16 bytes from the kernel's random generator
 *   dmesg              the kernel log
 *   poweroff, reboot   after sync and unmount
 *
 * Failures answer {"tag":17,"error":"..."}.
 */
#define _GNU_SOURCE
#include "guest-work.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/input.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { TCP_PORT = 7000 };

/* The end: by command, or by the power button. */

static _Noreturn void end(int how)
{
	disk_stop();
	if (umount("/data") && errno == EBUSY)
		mount(NULL, "/data", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	reboot(how);
	die("reboot");
}

static void *button_run(void *arg)
{
	glob_t found;
	struct pollfd fds[8];
	nfds_t count = 0;

	(void)arg;
	if (glob("/dev/input/event*", 0, NULL, &found))
		return NULL;
	for (size_t i = 0; i < found.gl_pathc && count < 8; i++) {
		fds[count].fd = open(found.gl_pathv[i], O_RDONLY);
		fds[count++].events = POLLIN;
	}
	while (poll(fds, count, -1) > 0) {
		for (nfds_t i = 0; i < count; i++) {
			struct input_event e;

			if (fds[i].revents & POLLIN &&
			    read(fds[i].fd, &e, sizeof(e)) == sizeof(e) &&
			    e.type == EV_KEY && e.code == KEY_POWER && e.value)
				end(RB_POWER_OFF);
		}
	}
	return NULL;
}

/* Commands: each prints the members of its answer. */

static void put_string(FILE *f, const char *text, size_t bytes)
{
	fputc('"', f);
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void put_error(FILE *f, const char *text)
{
	fprintf(f, "\"error\":");
	put_string(f, text, strlen(text));
}

static bool marker_path(char *path, size_t room, const char *name)
{
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return false;
	return *name &&
	       (size_t)snprintf(path, room, "/data/marker-%s", name) < room;
}

static void do_write(FILE *f, const char *name, const char *text)
{
	char path[128];

	if (!marker_path(path, sizeof(path), name))
		put_error(f, "bad name");
	else if (!write_whole(path, text, strlen(text)))
		put_error(f, strerror(errno));
	else
		fprintf(f, "\"written\":%zu", strlen(text));
}

static void do_read(FILE *f, const char *name)
{
	char path[128], text[4096];
	ssize_t bytes;

	if (!marker_path(path, sizeof(path), name)) {
		put_error(f, "bad name");
		return;
	}
	bytes = read_whole(path, text, sizeof(text));
	if (bytes < 0) {
		put_error(f, strerror(errno));
		return;
	}
	fprintf(f, "\"text\":");
	put_string(f, text, (size_t)bytes);
}

static void do_random(FILE *f)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
		put_error(f, strerror(errno));
		return;
	}
	fprintf(f, "\"random\":\"");
	for (size_t i = 0; i < sizeof(bytes); i++)
		fprintf(f, "%02x", bytes[i]);
	fprintf(f, "\"");
}

static void do_rtc(FILE *f)
{
	char text[32];
	ssize_t bytes = read_whole("/sys/class/rtc/rtc0/since_epoch", text, sizeof(text) - 1);

	if (bytes < 0) {
		put_error(f, strerror(errno));
		return;
	}
	text[bytes] = 0;
	fprintf(f, "\"rtc_s\":%lld", strtoll(text, NULL, 10));
}

static void do_dmesg(FILE *f)
{
	static char log[1 << 20];
	int bytes = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, log, sizeof(log));

	fprintf(f, "\"dmesg\":");
	put_string(f, log, bytes < 0 ? 0 : (size_t)bytes);
}

static void do_ram(FILE *f, const char *mib)
{
	size_t wanted = strtoul(mib, NULL, 10);
	const char *error = ram_start(wanted);

	if (error)
		put_error(f, error);
	else
		fprintf(f, "\"ram_mib\":%zu", wanted);
}

static unsigned long long free_kib(void)
{
	char text[4096], *line;
	ssize_t bytes = read_whole("/proc/meminfo", text, sizeof(text) - 1);

	text[bytes < 0 ? 0 : bytes] = 0;
	line = strstr(text, "MemFree:");
	return line ? strtoull(line + strlen("MemFree:"), NULL, 10) : 0;
}

/* Linux has none in a machine as small as this unless it is told. They come back whole: what is
 * reported as free are blocks of that size. */
static void allow_huge_pages(void)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);

	if (fd < 0 || write(fd, "madvise", 7) != 7)
		fprintf(stderr, "no huge pages\n");
	if (fd >= 0)
		close(fd);
}

static void do_hold(FILE *f, const char *mib)
{
	static uint64_t *held, noise = 0x9e3779b97f4a7c15;
	static size_t bytes;
	size_t wanted = strtoul(mib, NULL, 10) << 20;

	allow_huge_pages();
	if (held)
		munmap(held, bytes);
	held = NULL;
	bytes = wanted;
	if (wanted) {
		held = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (held == MAP_FAILED) {
			held = NULL;
			put_error(f, strerror(errno));
			return;
		}
		madvise(held, wanted, MADV_HUGEPAGE);
	}
	for (size_t i = 0; i < wanted / sizeof(*held); i++) {
		noise ^= noise << 13;
		noise ^= noise >> 7;
		noise ^= noise << 17;
		held[i] = noise;
	}
	fprintf(f, "\"held_mib\":%zu,\"free_kib\":%llu", wanted >> 20, free_kib());
}

/* Returns what to reboot() with once the answer is out, or 0. */
static int command_do(FILE *f, char *line)
{
	char *rest = line, *name = strsep(&rest, " ");
	char *first = rest ? strsep(&rest, " ") : NULL;

	if (!strcmp(name, "status")) {
		status_print(f);
	} else if (!strcmp(name, "verify")) {
		verify_print(f);
	} else if (!strcmp(name, "quiesce") || !strcmp(name, "unquiesce")) {
		disk_quiesce(*name == 'q');
		fprintf(f, "\"quiesced\":%s", *name == 'q' ? "true" : "false");
	} else if (!strcmp(name, "write") && first) {
		do_write(f, first, rest ? rest : "");
	} else if (!strcmp(name, "read") && first) {
		do_read(f, first);
	} else if (!strcmp(name, "ram") && first) {
		do_ram(f, first);
	} else if (!strcmp(name, "hold") && first) {
		do_hold(f, first);
	} else if (!strcmp(name, "rtc")) {
		do_rtc(f);
	} else if (!strcmp(name, "random")) {
		do_random(f);
	} else if (!strcmp(name, "dmesg")) {
		do_dmesg(f);
	} else if (!strcmp(name, "clear")) {
		clocks_clear();
		fprintf(f, "\"cleared\":true");
	} else if (!strcmp(name, "load") && first) {
		load_set(!strcmp(first, "on"));
		fprintf(f, "\"load\":%s", strcmp(first, "on") ? "false" : "true");
	} else if (!strcmp(name, "fsync")) {
		sync();
		fprintf(f, "\"synced\":true");
	} else if (!strcmp(name, "poweroff") || !strcmp(name, "reboot")) {
		fprintf(f, "\"ending\":true");
		return *name == 'p' ? RB_POWER_OFF : RB_AUTOBOOT;
	} else {
		put_error(f, "unknown command");
	}
	return 0;
}

static void send_whole(int fd, const char *data, size_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
		}
	}
}

static void line_answer(int fd, char *line)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	unsigned long tag = 0;
	char *text = NULL;
	size_t bytes = 0;
	FILE *f;
	int how;

	if (*line == '#') {
		tag = strtoul(line + 1, &line, 10);
		line += strspn(line, " ");
	}
	pthread_mutex_lock(&one);
	f = open_memstream(&text, &bytes);
	if (!f)
		die("memory");
	fprintf(f, "{\"tag\":%lu,", tag);
	how = command_do(f, line);
	fprintf(f, "}\n");
	fclose(f);
	send_whole(fd, text, bytes);
	free(text);
	if (how) {
		if (isatty(fd))
			tcdrain(fd);
		end(how);
	}
	pthread_mutex_unlock(&one);
}

static void serve(int fd)
{
	char line[4096];
	size_t used = 0;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c == '\n') {
			line[used] = 0;
			if (used)
				line_answer(fd, line);
			used = 0;
		} else if (c != '\r' && used < sizeof(line) - 1) {
			line[used++] = c;
		}
	}
}

static void *client_run(void *arg)
{
	int fd = (int)(intptr_t)arg;

	serve(fd);
	close(fd);
	return NULL;
}

static void *tcp_run(void *arg)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(TCP_PORT),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)arg;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 8))
		die("tcp");
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client >= 0)
			thread_start(client_run, (void *)(intptr_t)client);
	}
	return NULL;
}

static int port_open(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY);
	struct termios t;

	if (fd < 0)
		die(path);
	if (!tcgetattr(fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: guest-agent PORT FACTS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	fd = port_open(argv[1]);
	work_start();
	thread_start(button_run, NULL);
	thread_start(tcp_run, NULL);
	printf("GUEST READY ");
	/* Facts may come in several lines; a reader wants one. */
	for (const char *p = argv[2]; *p; p++)
		putchar(*p == '\n' ? ' ' : *p);
	putchar('\n');
	for (;;) {
		serve(fd);
		/* A console whose far end hung up ends; its next one may come. */
		sleep_ms(100);
	}
}
