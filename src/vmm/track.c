/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/track.h"

#include <stdlib.h>
#include <string.h>

int track_start(struct track *t, struct arch_vm *arch, struct guest_mem *mem, struct err *e)
{
	if (t->on)
		return 0;
	int r = mem_track(mem, e);
	if (!r)
		r = arch_log_writes(arch, true, e);
	t->on = true;
	if (r)
		track_rest(t, arch, mem);
	return r;
}

void track_rest(struct track *t, struct arch_vm *arch, struct guest_mem *mem)
{
	if (!t->on || t->known)
		return;
	/* KVM that goes on logging costs time, and nothing else. */
	(void)!arch_log_writes(arch, false, NULL);
	mem_untrack(mem);
	track_fini(t);
}

int track_is_since(const struct track *t, const uint8_t digest[static SHA256_BYTES], struct err *e)
{
	if (t->known && !memcmp(t->since, digest, SHA256_BYTES))
		return 0;
	return err_set(e, ERR_WRONG_STATE,
		       t->known ? "what the guest wrote is known since another snapshot than that"
				: "nobody kept track of what the guest wrote since a snapshot "
				  "(vmm snapshot --track)");
}

static bool has_room(struct track *t, uint64_t words)
{
	if (!t->taken)
		t->taken = calloc(words, sizeof *t->taken);
	if (!t->fresh)
		t->fresh = calloc(words, sizeof *t->fresh);
	return t->taken && t->fresh;
}

int track_look(struct track *t, struct arch_vm *arch, struct guest_mem *mem, struct err *e)
{
	uint64_t words = mem_track_words(mem->size);

	if (!has_room(t, words))
		return err_set(e, ERR_NOMEM, "out of memory");
	mem_take_dirty(mem, t->fresh);
	int r = arch_collect_writes(arch, t->fresh, e);
	for (uint64_t i = 0; i < words; i++)
		t->taken[i] |= t->fresh[i];
	return r;
}

void track_copied(struct track *t, const struct guest_mem *mem)
{
	memset(t->fresh, 0, mem_track_words(mem->size) * sizeof *t->fresh);
}

static void forget(struct track *t)
{
	free(t->taken);
	free(t->fresh);
	t->taken = t->fresh = NULL;
}

void track_fini(struct track *t)
{
	forget(t);
	*t = (struct track){0};
}

void track_done(struct track *t, const uint8_t digest[static SHA256_BYTES], uint32_t chunk_bytes)
{
	memcpy(t->since, digest, sizeof t->since);
	t->chunk_bytes = chunk_bytes;
	t->known = true;
	forget(t);
}

void track_undo(struct track *t, struct guest_mem *mem)
{
	if (t->taken)
		mem_mark_pages(mem, t->taken);
	forget(t);
}
