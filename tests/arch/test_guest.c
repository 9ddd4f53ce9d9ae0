/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test guests on a real KVM, from both entries: what they computed is what work.h computes
 * here, in memory and in their progress page, and they find their way out by ACPI.
 * Arguments: ring3 ring3-pvh.
 */
#include "arch/arch.h"
#include "guest/work.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define PM1_CNT	     4
#define S5_AND_SLEEP (5u << 10 | 1u << 13)

static const char *image[2];

/* A serial port that keeps what it is told, and the PM block. */
struct io {
	struct arch_io io;
	const struct layout_region *com, *pm;
	struct arch_vcpu *cpu;
	char said[1024];
	size_t n;
	bool off;
};

static uint64_t io_read(struct arch_io *x, bool port, uint64_t addr, unsigned len)
{
	return ~0ull;
}

static void io_write(struct arch_io *x, bool port, uint64_t addr, unsigned len, uint64_t v)
{
	struct io *io = (struct io *)x;

	if (port && addr == io->com->start && io->n < sizeof io->said - 1)
		io->said[io->n++] = (char)v;
	if (port && addr == io->pm->start + PM1_CNT && len == 2 && v == S5_AND_SLEEP) {
		io->off = true;
		arch_vcpu_interrupt(io->cpu, true);
	}
}

struct run {
	const char *image, *cmdline;
	uint64_t ram;
	uint32_t vcpus;
	/* What the command line says of it: */
	uint64_t iters, from, span, seed;
};

/* Work of all vCPUs, side by side in @here, done again. */
static void same_progress(const struct run *r, const struct guest_progress *p, const char *said,
			  uint64_t *here)
{
	for (uint32_t cpu = 0; cpu < r->vcpus; cpu++, p++) {
		uint64_t words = r->span / 8 / r->vcpus;
		struct guest_work w = guest_work_start(r->seed + cpu);
		char line[128];
		guest_work_fill(r->seed + cpu, here + cpu * words, words);
		for (uint64_t i = 0; i < r->iters; i++)
			guest_work_step(&w, here + cpu * words, words);
		assert_true(p->magic == GUEST_MAGIC);
		assert_int_equal(p->state, GUEST_DONE);
		assert_int_equal(p->iterations, r->iters);
		assert_int_equal(p->span_bytes, words * 8);
		assert_true(p->checksum == w.checksum);
		assert_true(p->rng == w.rng);
		snprintf(line, sizeof line, "DONE cpu=%u iters=%llu checksum=0x%llx ", cpu,
			 (unsigned long long)r->iters, (unsigned long long)w.checksum);
		assert_non_null(strstr(said, line));
	}
}

static void same_as_here(const struct run *r, const struct guest_mem *m, const struct layout *l,
			 const char *said)
{
	uint64_t *here = calloc(r->span, 1);
	const struct layout_region *start = layout_find(l, "KERNEL_START_OFFSET");
	const struct guest_progress *p;

	assert_non_null(here);
	assert_non_null(start);
	p = mem_ro(m, gpa(start->start), r->vcpus * sizeof *p);
	assert_non_null(p);
	same_progress(r, p, said, here);
	/* It goes on above 4 GiB when RAM does. */
	for (uint64_t at = r->from, done = 0; done < r->span; at += 2 * MIB, done += 2 * MIB) {
		const struct layout_region *low = layout_find(l, "START_OF_RAM_32BITS");
		if (at == region_end(low))
			at = layout_find(l, "RAM_ABOVE_4G")->start;
		assert_memory_equal(mem_ro(m, gpa(at), 2 * MIB), here + done / 8, 2 * MIB);
	}
	free(here);
}

/* The other vCPUs: they end in a halt, out of which a signal gets them. */
static void interrupted(int sig)
{
}

static void *run_other(void *arg)
{
	struct io *io = arg;
	struct err e = ERR_INIT;

	return (void *)(intptr_t)(arch_vcpu_run(io->cpu, &io->io, &e) == ARCH_INTERRUPTED);
}

static void run_to_the_end(struct arch_vm *vm, struct io *io, struct err *e)
{
	uint32_t n = arch_vcpu_count(vm);
	struct io other[ARCH_VCPUS_MAX];
	pthread_t thread[ARCH_VCPUS_MAX];

	signal(SIGUSR1, interrupted);
	for (uint32_t i = 1; i < n; i++) {
		other[i] = *io;
		other[i].cpu = arch_vcpu_at(vm, i);
		assert_int_equal(pthread_create(&thread[i], NULL, run_other, &other[i]), 0);
	}
	while (!io->off) {
		int r = arch_vcpu_run(io->cpu, &io->io, e);
		if (r < 0 || r == ARCH_RESET)
			fail_msg("stopped with %d: %s%s", r, e->msg, io->said);
	}
	for (uint32_t i = 1; i < n; i++) {
		void *well;
		arch_vcpu_interrupt(other[i].cpu, true);
		assert_int_equal(pthread_kill(thread[i], SIGUSR1), 0);
		assert_int_equal(pthread_join(thread[i], &well), 0);
		assert_non_null(well);
	}
}

static void runs(const struct run *r)
{
	struct err e = ERR_INIT;
	struct io io = {.io = {.read = io_read, .write = io_write}};
	struct layout_params p;
	struct layout l;
	struct guest_mem m;
	struct machine mc;
	struct io_src file;
	const struct io_src *culprit;
	struct arch_image *k;
	struct arch_vm *vm;
	int kvm, fd = open(r->image, O_RDONLY | O_CLOEXEC);

#define OK(CALL)                                                                                   \
	do {                                                                                       \
		if ((CALL) < 0)                                                                    \
			fail_msg("%s: %s", #CALL, e.msg);                                          \
	} while (0)
	OK(arch_kvm_open(&kvm, &e));
	OK(io_src_fd(&file, fd, &e));
	OK(arch_image_open(&(struct arch_files){.kernel = &file, .cmdline = r->cmdline}, &k, &culprit,
			   &e));
	layout_params_init(&p, r->ram);
	p.vcpus = r->vcpus;
	OK(arch_image_params(k, layout_def_find("x86_64/linux@1"), &p, &e));
	OK(layout_build(layout_def_find("x86_64/linux@1"), &p, &l, &e));
	OK(mem_init(&m, &l, &e));
	state_defaults(&machine_desc, &mc);
	OK(arch_vm_new(kvm, &l, &m, NULL, NULL, &vm, &e));
	OK(arch_boot(vm, k, &mc, &e));
#undef OK
	io.com = layout_find(&l, "SERIAL_ADDR[0]");
	io.pm = layout_find(&l, "ACPI_PM");
	io.cpu = arch_vcpu_at(vm, 0);
	run_to_the_end(vm, &io, &e);
	arch_vm_free(vm);
	same_as_here(r, &m, &l, io.said);
	arch_image_free(k);
	mem_fini(&m);
	close(fd);
	close(kvm);
}

static void a_vmlinux_runs(void **unused)
{
	runs(&(struct run){.image = image[0],
			   .cmdline = "iters=300000 span=8M seed=11 fill",
			   .ram = 64 * MIB,
			   .vcpus = 1,
			   .iters = 300000,
			   .from = 16 * MIB,
			   .span = 8 * MIB,
			   .seed = 11});
}

static void a_pvh_kernel_runs(void **unused)
{
	runs(&(struct run){.image = image[1],
			   .cmdline = "iters=100000 span=4M seed=12 fill",
			   .ram = 64 * MIB,
			   .vcpus = 1,
			   .iters = 100000,
			   .from = 16 * MIB,
			   .span = 4 * MIB,
			   .seed = 12});
}

static void memory_above_4_gib_is_memory(void **unused)
{
	/* 16 MiB below the hole, as much above. */
	runs(&(struct run){.image = image[0],
			   .cmdline = "iters=300000 from=3312M span=32M seed=13 fill",
			   .ram = 5 * GIB,
			   .vcpus = 1,
			   .iters = 300000,
			   .from = 3312 * MIB,
			   .span = 32 * MIB,
			   .seed = 13});
}

static void several_vcpus_work(void **unused)
{
	runs(&(struct run){.image = image[0],
			   .cmdline = "iters=200000 span=8M seed=14 cpus=4 fill",
			   .ram = 64 * MIB,
			   .vcpus = 4,
			   .iters = 200000,
			   .from = 16 * MIB,
			   .span = 8 * MIB,
			   .seed = 14});
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_vmlinux_runs),
	    cmocka_unit_test(a_pvh_kernel_runs),
	    cmocka_unit_test(memory_above_4_gib_is_memory),
	    cmocka_unit_test(several_vcpus_work),
	};

	if (argc != 3)
		return 2;
	image[0] = argv[1];
	image[1] = argv[2];
	if (access("/dev/kvm", R_OK | W_OK)) {
		fprintf(stderr, "SKIPPED: no /dev/kvm here\n");
		return 77; /* as meson counts skipped tests */
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
