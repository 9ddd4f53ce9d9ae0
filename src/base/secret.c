/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static size_t mapped_bytes(size_t cap)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (cap + page - 1) / page * page;
}

int secret_init(struct secret *s, size_t cap, struct err *e)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	size_t bytes = mapped_bytes(cap ? cap : 1);

	/* Locked if RLIMIT_MEMLOCK allows: then it does not go to swap either. */
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_LOCKED, -1, 0);
	if (p == MAP_FAILED)
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(e, ERR_NOMEM, errno, "no memory for a key");
	if (madvise(p, bytes, MADV_DONTDUMP)) {
		int r = err_sys(e, ERR_NOMEM, errno, "cannot keep a key out of core dumps");
		munmap(p, bytes);
		return r;
	}
	*s = (struct secret){.data = p, .cap = cap};
	return 0;
}

void secret_fini(struct secret *s)
{
	if (s->data) {
		OPENSSL_cleanse(s->data, s->cap);
		munmap(s->data, mapped_bytes(s->cap ? s->cap : 1));
	}
	*s = (struct secret)SECRET_INIT;
}

void secret_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

bool secret_same(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

int secret_random(void *out, size_t n, struct err *e)
{
	/* Up to 256 bytes are never cut short: getrandom(2). */
	if (n > 256 || getrandom(out, n, 0) != (ssize_t)n)
		return err_sys(e, ERR_IO, errno, "getrandom");
	return 0;
}

int secret_uuid(uint8_t out[static 16], struct err *e)
{
	int r = secret_random(out, 16, e);

	out[6] = (out[6] & 0x0f) | 0x40;
	out[8] = (out[8] & 0x3f) | 0x80;
	return r;
}

int secret_read(int fd, size_t max, struct secret *out, struct err *e)
{
	struct secret s;
	int r = secret_init(&s, max + 1, e);

	if (r)
		return r;
	while (!r) {
		ssize_t n = read(fd, s.data + s.len, s.cap - s.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			r = err_sys(e, ERR_IO, errno, "cannot read");
		if (n <= 0)
			break;
		s.len += (size_t)n;
		if (s.len > max)
			r = err_set(e, ERR_LIMIT, "larger than %zu bytes", max);
	}
	if (r)
		secret_fini(&s);
	else
		*out = s;
	return r;
}

int secret_read_file(const char *path, size_t max, struct secret *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		r = err_sys(e, ERR_IO, errno, "cannot open");
	else if (fstat(fd, &st))
		r = err_sys(e, ERR_IO, errno, "cannot stat");
	else if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_mode & 077)
		r = err_set(e, ERR_KEY, "is open to others with mode %04o: chmod 600",
			    st.st_mode & 07777);
	else
		r = secret_read(fd, max, out, e);
	if (fd >= 0)
		close(fd);
	if (r)
		err_file(e, path);
	return r;
}

/* --- the terminal ---------------------------------------------------------------------------- */

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

static int read_line(int tty, struct secret *s, size_t max, struct err *e)
{
	uint8_t c;

	for (;;) {
		ssize_t n = got_signal ? -1 : read(tty, &c, 1);
		if (n < 0 && errno == EINTR && !got_signal)
			continue;
		if (n <= 0)
			return err_set(e, ERR_CANCELLED, "no passphrase was given");
		if (c == '\n')
			return 0;
		if (s->len == max)
			return err_set(e, ERR_LIMIT, "passphrase of more than %zu bytes", max);
		s->data[s->len++] = c;
	}
}

/* Signals that would end the program end it after the terminal was put right. */
static int read_hidden(int tty, const char *prompt, struct secret *s, size_t max, struct err *e)
{
	struct sigaction act = {.sa_handler = on_signal}, was[ARRAY_LEN(ending)];
	struct termios shown, hidden;

	if (tcgetattr(tty, &shown))
		return err_sys(e, ERR_IO, errno, "no terminal to ask for a passphrase on");
	got_signal = 0;
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		sigaction(ending[i], &act, &was[i]);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ICANON | ISIG | ECHONL;
	int r = tcsetattr(tty, TCSAFLUSH, &hidden)
		    ? err_sys(e, ERR_IO, errno, "cannot hide what is typed")
		    : io_write_all(tty, prompt, strlen(prompt), e);
	if (!r)
		r = read_line(tty, s, max, e);
	tcsetattr(tty, TCSAFLUSH, &shown);
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		sigaction(ending[i], &was[i], NULL);
	return r;
}

int secret_prompt(const char *prompt, size_t max, struct secret *out, struct err *e)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct secret s;

	if (tty < 0)
		return err_sys(e, ERR_IO, errno, "no terminal to ask for a passphrase on");
	int r = secret_init(&s, max, e);
	if (!r) {
		r = read_hidden(tty, prompt, &s, max, e);
		if (r)
			secret_fini(&s);
		else
			*out = s;
	}
	close(tty);
	if (got_signal)
		raise(got_signal);
	return r;
}
