/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/cpufreq.h"

#include "devices/words.h"
#include "state/cpufreq.h"

#include <stdlib.h>

/* Linux, drivers/cpufreq/virtual-cpufreq.c, which has this table; crosvm,
 * devices/src/virtcpufreq_v2.rs. */
enum {
	CUR_PERF = 0x0, /* read-only */
	SET_PERF = 0x4, /* write-only */
	PERFTBL_LEN = 0x8,
	PERFTBL_SEL = 0xc,
	PERFTBL_RD = 0x10,
	PERF_DOMAIN = 0x14,
	BLOCK_BYTES = 0x1000,
};

/* A table of one entry is none: the guest may ask for anything up to the entry. */
#define TABLE_LEN 1

struct cpufreq {
	struct device dev;
	struct cpufreq_state st;
	cpufreq_clamp_fn *clamp;
};

static struct cpufreq *cpufreq_of(struct device *d)
{
	return (struct cpufreq *)d;
}

static uint32_t read_register(struct device *d, uint64_t offset)
{
	const struct cpufreq *c = cpufreq_of(d);
	uint64_t vcpu = offset / BLOCK_BYTES;

	if (vcpu >= c->st.vcpu_n)
		return 0;
	switch (offset % BLOCK_BYTES) {
	case CUR_PERF:
		/* What was asked for: the host's real frequency is not the guest's, and would
		 * change with every move to another host. */
		return c->st.vcpu[vcpu].perf;
	case PERFTBL_LEN:
		return TABLE_LEN;
	case PERFTBL_SEL:
		return c->st.vcpu[vcpu].selected;
	case PERFTBL_RD:
		return c->st.vcpu[vcpu].selected < TABLE_LEN ? CPUFREQ_PERF_MAX : 0;
	case PERF_DOMAIN:
		return (uint32_t)vcpu;
	}
	return 0;
}

/* Linux lets only a vCPU itself write here (dvfs_possible_from_any_cpu is false), so that the
 * thread that left the guest is the one to be clamped. One that writes to another's block has this
 * noted and shown, and neither of the two is clamped by it. */
static void set_perf(struct cpufreq *c, uint32_t vcpu, uint32_t perf)
{
	if (perf < 1)
		perf = 1;
	if (perf > CPUFREQ_PERF_MAX)
		perf = CPUFREQ_PERF_MAX;
	c->st.vcpu[vcpu].perf = perf;
	c->clamp(vcpu, perf);
}

static void write_register(struct device *d, uint64_t offset, uint32_t v)
{
	struct cpufreq *c = cpufreq_of(d);
	uint64_t vcpu = offset / BLOCK_BYTES;

	if (vcpu >= c->st.vcpu_n)
		return;
	switch (offset % BLOCK_BYTES) {
	case SET_PERF:
		set_perf(c, (uint32_t)vcpu, v);
		break;
	case PERFTBL_SEL:
		c->st.vcpu[vcpu].selected = v;
		break;
	}
}

static uint64_t on_read(struct device *d, uint64_t offset, unsigned len)
{
	return words_read(d, offset, len, read_register);
}

static void on_write(struct device *d, uint64_t offset, unsigned len, uint64_t v)
{
	words_write(d, offset, len, v, write_register);
}

const struct bus_ops cpufreq_ops = {on_read, on_write};

static int on_check(const struct device *d, const void *state, struct err *e)
{
	const struct cpufreq_state *st = state, *own = d->st;

	if (st->vcpu_n != own->vcpu_n)
		return err_set(e, ERR_RANGE, "performance of %u vCPUs, there are %u", st->vcpu_n,
			       own->vcpu_n);
	for (uint32_t i = 0; i < st->vcpu_n; i++)
		if (st->vcpu[i].perf < 1 || st->vcpu[i].perf > CPUFREQ_PERF_MAX)
			return err_set(e, ERR_RANGE, "vcpu[%u].perf: not 1 to %u", i,
				       CPUFREQ_PERF_MAX);
	return 0;
}

static void on_reset(struct device *d)
{
	struct cpufreq *c = cpufreq_of(d);

	for (uint32_t i = 0; i < c->st.vcpu_n; i++)
		state_defaults(&cpufreq_vcpu_desc, &c->st.vcpu[i]);
}

/* Acts only when the guest writes. The clamps are those of threads, which only they themselves may
 * set: after a restore or a reset each stays as it is until its vCPU writes again. */
static const struct device_class cpufreq_class = {
    .type = "cpufreq",
    .state = &cpufreq_state_desc,
    .pause = device_nothing,
    .resume = device_nothing,
    .pre_save = device_nothing,
    .check = on_check,
    .post_load = device_nothing,
    .reset = on_reset,
    .free = device_free,
};

struct device *cpufreq_new(const char *id, uint32_t vcpus, cpufreq_clamp_fn *clamp, struct err *e)
{
	struct cpufreq *c;

	if (vcpus > CPUFREQ_VCPUS_MAX) {
		err_set(e, ERR_LIMIT, "%s: at most %u vCPUs", id, CPUFREQ_VCPUS_MAX);
		return NULL;
	}
	c = calloc(1, sizeof *c);
	if (!c) {
		err_set(e, ERR_NOMEM, "out of memory");
		return NULL;
	}
	device_init(&c->dev, &cpufreq_class, id, &c->st);
	c->clamp = clamp;
	c->st.vcpu_n = vcpus;
	on_reset(&c->dev);
	return &c->dev;
}
