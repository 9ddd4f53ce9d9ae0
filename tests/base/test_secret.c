/* SPDX-License-Identifier: Apache-2.0 */
/* Where secrets come from: files, descriptors, a terminal, PEM as openssl writes it. */
#include "base/crypto.h"

#include <sys/mman.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

static char path[64];

static const char *file(const char *text, size_t n, mode_t mode)
{
	snprintf(path, sizeof path, "/tmp/test_secret.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

/* Flags of the mapping that holds @p, as /proc/self/smaps shows them. */
static bool has_flag(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false, found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof line, f)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (unsigned long)p >= from && (unsigned long)p < to;
		found = inside && !strncmp(line, "VmFlags:", 8) && strstr(line, flag);
	}
	fclose(f);
	return found;
}

/* A user-mode emulator takes the advice and keeps it from the kernel. */
static bool advice_is_shown(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool shown = p != MAP_FAILED && !madvise(p, page, MADV_DONTDUMP) && has_flag(p, " dd");

	if (p != MAP_FAILED)
		munmap(p, page);
	return shown;
}

static void secrets_are_not_dumped(void **unused)
{
	struct secret s;

	if (!advice_is_shown()) {
		print_message("skipped: what is not dumped cannot be seen here\n");
		skip();
	}

	assert_int_equal(secret_init(&s, 5000, NULL), 0);
	assert_int_equal(s.cap, 5000);
	assert_true(has_flag(s.data, " dd"));
	memset(s.data, 0x5a, s.cap);
	secret_fini(&s);
	assert_null(s.data);
	secret_fini(&s);
}

static void files_are_read_whole_or_not(void **unused)
{
	struct secret s;
	struct err e = ERR_INIT;

	assert_int_equal(secret_read_file(file("0123456789", 10, 0600), 10, &s, &e), 0);
	assert_int_equal(s.len, 10);
	assert_memory_equal(s.data, "0123456789", 10);
	secret_fini(&s);
	assert_int_equal(secret_read_file(path, 9, &s, &e), -ERR_LIMIT);
	assert_string_equal(e.file, path);
	unlink(path);
	assert_int_equal(secret_read_file(path, 9, &s, &e), -ERR_IO);
	assert_int_equal(secret_read_file("/tmp", 9, &s, &e), -ERR_IO);
	assert_int_equal(secret_read_file("/dev/zero", 9, &s, &e), -ERR_LIMIT);
}

static void files_that_others_may_read_are_refused(void **unused)
{
	static const mode_t open_to_others[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0777};
	struct secret s;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(open_to_others); i++) {
		file("x", 1, open_to_others[i]);
		assert_int_equal(secret_read_file(path, 9, &s, &e), -ERR_KEY);
		assert_non_null(strstr(e.msg, "chmod 600"));
		unlink(path);
	}
	assert_int_equal(secret_read_file(file("x", 1, 0400), 9, &s, &e), 0);
	secret_fini(&s);
	unlink(path);
}

static void pipes_are_read_to_their_end(void **unused)
{
	struct secret s;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "abc", 3), 3);
	close(fd[1]);
	assert_int_equal(secret_read(fd[0], 3, &s, NULL), 0);
	assert_int_equal(s.len, 3);
	secret_fini(&s);
	assert_int_equal(secret_read(fd[0], 3, &s, NULL), 0);
	assert_int_equal(s.len, 0);
	secret_fini(&s);
	close(fd[0]);
	assert_int_equal(secret_read(fd[0], 3, &s, NULL), -ERR_IO);
}

/* --- a terminal ------------------------------------------------------------------------------ */

/* Types @typed at the prompt of a child whose terminal this is; its exit status, and all that the
 * terminal showed. */
static int type_at_prompt(const char *typed, const char *want, char *seen, size_t size)
{
	int tty, status;
	pid_t child = forkpty(&tty, NULL, NULL, NULL);

	assert_true(child >= 0);
	if (!child) {
		struct termios before, after;
		struct secret s = SECRET_INIT;
		tcgetattr(0, &before);
		int r = secret_prompt("passphrase: ", 20, &s, NULL);
		tcgetattr(0, &after);
		if (before.c_lflag != after.c_lflag || before.c_iflag != after.c_iflag)
			_exit(100);
		if (!r && (s.len != strlen(want) || memcmp(s.data, want, s.len)))
			_exit(101);
		_exit(-r);
	}
	size_t n = 0;
	while (n < size - 1 && !memchr(seen, ':', n)) {
		ssize_t k = read(tty, seen + n, size - 1 - n);
		assert_true(k > 0);
		n += (size_t)k;
	}
	assert_int_equal(write(tty, typed, strlen(typed)), strlen(typed));
	for (ssize_t k; n < size - 1 && (k = read(tty, seen + n, size - 1 - n)) > 0;)
		n += (size_t)k;
	seen[n] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	close(tty);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void the_terminal_does_not_show_what_is_typed(void **unused)
{
	char seen[200];

	assert_int_equal(type_at_prompt("open sesame\n", "open sesame", seen, sizeof seen), 0);
	assert_non_null(strstr(seen, "passphrase: "));
	assert_null(strstr(seen, "sesame"));
	assert_int_equal(type_at_prompt("\n", "", seen, sizeof seen), 0);
	assert_int_equal(type_at_prompt("123456789012345678901\n", "", seen, sizeof seen),
			 ERR_LIMIT);
	assert_int_equal(type_at_prompt("abc\004\004", "", seen, sizeof seen), ERR_CANCELLED);
	assert_int_equal(type_at_prompt("abc\003", "", seen, sizeof seen), -SIGINT);
	assert_null(strstr(seen, "abc"));
}

static void without_a_terminal_nobody_is_asked(void **unused)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct secret s;
		setsid();
		_exit(-secret_prompt("passphrase: ", 20, &s, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), ERR_IO);
}

/* --- PEM ------------------------------------------------------------------------------------- */

/* RFC 8410, section 10: its example key, with the public one that belongs to it. */
static const char private_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				 "-----END PUBLIC KEY-----\n";
/* openssl genpkey -algorithm x25519 */
static const char x25519_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
    "-----END PRIVATE KEY-----\n";

static void keys_are_read_as_openssl_writes_them(void **unused)
{
	uint8_t from_file[32], made[32];
	struct secret seed;
	struct err e = ERR_INIT;

	assert_int_equal(
	    ed25519_read_private(file(private_pem, strlen(private_pem), 0600), &seed, &e), 0);
	unlink(path);
	assert_int_equal(
	    ed25519_read_public(file(public_pem, strlen(public_pem), 0644), from_file, &e), 0);
	unlink(path);
	assert_int_equal(ed25519_public(&seed, made, &e), 0);
	assert_memory_equal(made, from_file, 32);
	secret_fini(&seed);
}

static void assert_not_a_key(const char *text, bool private, const char *says)
{
	uint8_t key[32];
	struct secret seed;
	struct err e = ERR_INIT;

	file(text, strlen(text), 0600);
	int r =
	    private ? ed25519_read_private(path, &seed, &e) : ed25519_read_public(path, key, &e);
	assert_int_equal(r, -ERR_KEY);
	if (!strstr(e.msg, says))
		fail_msg("%s, not %s", e.msg, says);
	assert_string_equal(e.file, path);
	unlink(path);
}

static void other_keys_are_refused(void **unused)
{
	struct secret seed;
	struct err e = ERR_INIT;

	assert_not_a_key(public_pem, true, "public key");
	assert_not_a_key(private_pem, false, "private key");
	assert_not_a_key(x25519_pem, true, "X25519");
	assert_not_a_key("", true, "no private key");
	assert_not_a_key("", false, "no public key");
	assert_not_a_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", true,
			 "no private key");
	assert_int_equal(
	    ed25519_read_private(file(private_pem, strlen(private_pem), 0644), &seed, &e),
	    -ERR_KEY);
	unlink(path);
	assert_int_equal(ed25519_read_private("/nonexistent", &seed, &e), -ERR_IO);
	assert_int_equal(ed25519_read_public("/dev/zero", (uint8_t[32]){0}, &e), -ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secrets_are_not_dumped),
	    cmocka_unit_test(files_are_read_whole_or_not),
	    cmocka_unit_test(files_that_others_may_read_are_refused),
	    cmocka_unit_test(pipes_are_read_to_their_end),
	    cmocka_unit_test(the_terminal_does_not_show_what_is_typed),
	    cmocka_unit_test(without_a_terminal_nobody_is_asked),
	    cmocka_unit_test(keys_are_read_as_openssl_writes_them),
	    cmocka_unit_test(other_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
