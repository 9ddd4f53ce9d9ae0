/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that try very many places, values or times try each VMM_TEST_STRIDEth where a sanitizer or
 * an emulator makes that long; without it, every one. */
#ifndef TESTS_STRIDE_H
#define TESTS_STRIDE_H

#include <stddef.h>
#include <stdlib.h>

static inline size_t test_stride(void)
{
	const char *text = getenv("VMM_TEST_STRIDE");
	int stride = text ? atoi(text) : 1;

	return stride > 0 ? (size_t)stride : 1;
}

/* How often to do what is to be done @n times. */
static inline unsigned test_rounds(unsigned n)
{
	unsigned some = n / (unsigned)test_stride();

	return some < 2 ? 2 : some;
}

#endif
