/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest names as free, and who writes meanwhile; with an array for KVM's log, and time that
 * goes by faster. */
#include "base/timer.h"
#include "pci_machine.h"
#include "vmm/hints.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HINTS 3
#define PAGES 64
#define DONE  VIRTIO_BALLOON_CMD_ID_DONE

static struct pci_machine m;
static struct vm *vm;
static struct device *balloon;
static struct guest_driver g;
static uint64_t area, page;
static uint64_t *logged; /* by KVM: a bit for each page */
static bool logging, refuses;
static unsigned ready;

/* --- what stands in for KVM ----------------------------------------------------------------- */

struct device *vm_device(const struct vm *unused, const char *type)
{
	return balloon && !strcmp(balloon->cls->type, type) ? balloon : NULL;
}

int arch_log_writes(struct arch_vm *unused, bool on, struct err *e)
{
	logging = on;
	return on && refuses ? err_set(e, ERR_KVM, "no log") : 0;
}

int arch_collect_writes(struct arch_vm *unused, uint64_t *pages, struct err *e)
{
	assert_true(logging);
	mem_add_pages(pages, 0, logged, mem_track_words(vm->mem.size));
	memset(logged, 0, mem_track_words(vm->mem.size) * sizeof *logged);
	return 0;
}

void __real_timer_in(struct timer *t, uint64_t ns);
void __wrap_timer_in(struct timer *t, uint64_t ns);
void __wrap_timer_in(struct timer *t, uint64_t ns)
{
	__real_timer_in(t, ns / 8);
}

static void describe(struct machine *md)
{
	virtio_balloon_describe(&md->device[md->device_n++], "balloon");
}

static int setup(void **unused)
{
	struct err e = ERR_INIT;

	page = mem_track_bytes();
	vm = calloc(1, sizeof *vm);
	machine_start(&m, describe);
	/* The same memory; only what the VM's own says of writes counts. */
	vm->mem = m.mem;
	vm->loop = m.loop;
	m.host.mem = &vm->mem;
	assert_int_equal(virtio_balloon_new(&m.described.device[1], &m.host, &balloon, &e), 0);
	driver_probe(&g, &m, 1);
	driver_start(&g, UINT64_MAX, true);
	area = (guest_alloc(&m, (PAGES + 1) * page) + page - 1) / page * page;
	logged = calloc(mem_track_words(vm->mem.size) + 1, sizeof *logged);
	logging = false;
	ready = 0;
	return 0;
}

static int teardown(void **unused)
{
	if (balloon)
		balloon->cls->free(balloon);
	balloon = NULL;
	machine_stop(&m);
	track_fini(&vm->track);
	free((void *)vm->mem.dirty);
	free(vm);
	free(logged);
	return 0;
}

static void on_ready(void *arg)
{
	assert_ptr_equal(arg, &ready);
	ready++;
}

static struct hints *start(void)
{
	struct err e = ERR_INIT;
	struct hints *h;

	if (hints_start(vm, on_ready, &ready, &h, &e))
		fail_msg("%s", e.msg);
	return h;
}

static uint64_t number(unsigned i)
{
	const uint8_t *p = mem_ro(&vm->mem, gpa(area), 1);

	return (uint64_t)(p - vm->mem.host) / page + i;
}

static void guest_writes(unsigned i)
{
	logged[number(i) / 64] |= 1ull << number(i) % 64;
}

static void device_writes(unsigned i)
{
	assert_true(mem_write(&vm->mem, gpa(area + i * page), "x", 1));
}

static void send(uint64_t at, uint64_t bytes, bool in)
{
	struct guest_buf b = {at, (uint32_t)bytes, in};
	uint16_t head;
	uint32_t len;

	queue_add(&g, HINTS, &b, 1, false);
	queue_kick(&g, HINTS);
	(void)queue_used(&g, HINTS, &head, &len);
}

static void say(uint32_t id)
{
	uint64_t at = guest_alloc(&m, sizeof id);

	memcpy(guest_ptr(&m, at, sizeof id), &id, sizeof id);
	send(at, sizeof id, false);
}

static uint32_t shown(void)
{
	return (uint32_t)mmio_read(&m, g.config + 8, 4);
}

static void name(unsigned first, unsigned n)
{
	send(area + first * page, n * page, true);
}

static void wait_until_ready(void)
{
	while (!ready) {
		assert_true(loop_poll(m.loop, NULL) >= 0);
		poll(NULL, 0, 1);
	}
}

/* Takes, and says which pages of the area are in it; nothing else may be. */
static uint64_t take(struct hints *h)
{
	struct err e = ERR_INIT;
	uint64_t *unused, bytes = 0, found = 0, n = 0;

	if (hints_take(h, &unused, &bytes, &e))
		fail_msg("%s", e.msg);
	for (uint64_t i = 0; i < mem_track_words(vm->mem.size) * 64; i++) {
		if (!(unused[i / 64] >> i % 64 & 1))
			continue;
		n++;
		if (i >= number(0) && i < number(PAGES))
			found |= 1ull << (i - number(0));
		else
			fail_msg("page %lu", (unsigned long)i);
	}
	assert_int_equal(bytes, n * page);
	free(unused);
	return found;
}

static bool known_as_written(unsigned i)
{
	uint64_t *words = calloc(mem_track_words(vm->mem.size), sizeof *words);

	assert_int_equal(arch_collect_writes(NULL, words, NULL), 0);
	mem_take_dirty(&vm->mem, words);
	bool is = words[number(i) / 64] >> number(i) % 64 & 1;
	mem_mark_pages(&vm->mem, words);
	free(words);
	return is;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void what_was_written_to_is_saved(void **unused)
{
	struct hints *h = start();

	assert_true(logging);
	guest_writes(2); /* before its hint is read */
	device_writes(3);
	say(shown());
	name(1, 8);
	name(20, 2);
	guest_writes(4); /* and after */
	device_writes(5);
	say(VIRTIO_BALLOON_CMD_ID_STOP);
	wait_until_ready();
	guest_writes(20);
	assert_int_equal(take(h), 1 << 1 | 7 << 6 | 1 << 21);
	assert_int_equal(shown(), DONE);
	name(30, 1);
	assert_int_equal(ready, 1);
	hints_free(h);
	/* Nobody else wanted to know. */
	assert_false(logging);
	assert_false(vm->track.on);
}

static void only_whole_pages(void **unused)
{
	struct hints *h = start();

	say(shown());
	send(area + page - 1, page, true);
	send(area + 4 * page + 1, 3 * page - 1, true);
	send(area + 10 * page, 2 * page - 1, true);
	send(area + 12 * page, 1, true);
	assert_int_equal(take(h), 3 << 5 | 1 << 10);
	hints_free(h);
}

/* A guest that says nothing, one that does not end, one that goes. */
static void it_ends_whatever_the_guest_does(void **unused)
{
	struct hints *h = start();

	wait_until_ready();
	assert_int_equal(take(h), 0);
	hints_free(h);

	ready = 0;
	h = start();
	say(shown());
	while (!ready) {
		name(1, 1);
		poll(NULL, 0, 20);
	}
	assert_int_equal(take(h), 1 << 1);
	hints_free(h);

	ready = 0;
	h = start();
	say(shown());
	name(1, 1);
	driver_set_status(&g, 0);
	wait_until_ready();
	assert_int_equal(take(h), 0);
	hints_free(h);
	assert_int_equal(shown(), VIRTIO_BALLOON_CMD_ID_STOP);
}

static void nobody_to_ask(void **unused)
{
	struct device *there = balloon;

	driver_set_status(&g, 0);
	assert_null(start());
	assert_false(logging);
	driver_start(&g, UINT64_MAX, true);
	vm->held = true;
	assert_null(start());
	vm->held = false;
	balloon = NULL;
	assert_null(start());
	balloon = there;
	assert_int_equal(hints_take(NULL, NULL, NULL, NULL), 0);
	hints_free(NULL);
	assert_false(logging);
}

/* What was written to since the last snapshot is known afterwards, taken or given up. */
static void the_tracker_misses_nothing(void **unused)
{
	static const uint8_t digest[SHA256_BYTES] = {1};

	for (unsigned taken = 0; taken < 2; taken++) {
		assert_int_equal(track_start(&vm->track, NULL, &vm->mem, NULL), 0);
		assert_int_equal(track_look(&vm->track, NULL, &vm->mem, NULL), 0);
		track_done(&vm->track, digest, SNAP_CHUNK_DEFAULT);
		guest_writes(1);
		device_writes(2);
		struct hints *h = start();
		say(shown());
		name(0, 8);
		guest_writes(3);
		device_writes(4);
		/* What was written to before can be free by now. */
		if (taken)
			assert_int_equal(take(h), 0xe7);
		hints_free(h);
		assert_true(logging);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(known_as_written(i), i >= 1 && i <= 4);
	}
}

static bool is_taken(unsigned i)
{
	return vm->track.taken[number(i) / 64] >> number(i) % 64 & 1;
}

/* Who copies memory before the moment looks at the same logs, again and again. */
static void what_a_tracker_takes_is_not_missed(void **unused)
{
	static const uint8_t digest[SHA256_BYTES] = {1};

	assert_int_equal(track_start(&vm->track, NULL, &vm->mem, NULL), 0);
	assert_int_equal(track_look(&vm->track, NULL, &vm->mem, NULL), 0);
	track_done(&vm->track, digest, SNAP_CHUNK_DEFAULT);
	guest_writes(1); /* and free by now */
	struct hints *h = start();
	say(shown());
	guest_writes(2); /* before its hint is read */
	name(0, 8);
	device_writes(3);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(track_look(&vm->track, NULL, &vm->mem, NULL), 0);
		if (round)
			guest_writes(7); /* comes with the next look */
		hints_saw(h, &vm->track);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(is_taken(i), i >= 1 && i <= 3 + round);
		track_copied(&vm->track, &vm->mem);
		guest_writes(4 + round);
		name(0, 3);
	}
	assert_int_equal(take(h), 0x43);
	assert_int_equal(track_look(&vm->track, NULL, &vm->mem, NULL), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(is_taken(i), (i >= 1 && i <= 5) || i == 7);
	hints_free(h);
	track_undo(&vm->track, &vm->mem);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(known_as_written(i), (i >= 1 && i <= 5) || i == 7);
}

/* Writes cost the guest nothing when nobody will ask for them. */
static void nothing_is_logged_for_nobody(void **unused)
{
	struct err e = ERR_INIT;
	struct hints *h;

	refuses = true;
	assert_int_equal(hints_start(vm, on_ready, &ready, &h, &e), -ERR_KVM);
	refuses = false;
	assert_false(logging);
	assert_false(vm->mem.tracked);
	/* The first one of all that fails. */
	assert_int_equal(track_start(&vm->track, NULL, &vm->mem, NULL), 0);
	h = start();
	assert_int_equal(track_look(&vm->track, NULL, &vm->mem, NULL), 0);
	track_undo(&vm->track, &vm->mem);
	hints_free(h);
	assert_false(logging);
	assert_false(vm->mem.tracked);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_written_to_is_saved),	   TEST(only_whole_pages),
	    TEST(it_ends_whatever_the_guest_does), TEST(nobody_to_ask),
	    TEST(the_tracker_misses_nothing),	   TEST(what_a_tracker_takes_is_not_missed),
	    TEST(nothing_is_logged_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
