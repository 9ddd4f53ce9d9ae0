/*
 * The work a test guest does all the time, in threads of its own: ticks on
 * each CPU, samples of the clocks, files on the disk, pages of RAM, reads of
 * the hardware random generator. Any function may be called by any thread.
 */
#ifndef GUEST_WORK_H
#define GUEST_WORK_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

void work_start(void);

/* Print members of a JSON object, without its braces. */
void status_print(FILE *f);
void verify_print(FILE *f);

/* Busy CPUs, or CPUs that sleep between ticks (the default). */
void load_set(bool on);

/* Forget the largest clock steps seen. */
void clocks_clear(void);

/* Stop the disk writer and sync, or let it go on. */
void disk_quiesce(bool on);

/* Stop the disk writer for good; /data can be unmounted then. */
void disk_stop(void);

/* Start rewriting so much memory; returns NULL, or why not. */
const char *ram_start(size_t mib);

/* The file is on the disk when this returns true. */
bool write_whole(const char *path, const void *data, size_t bytes);

/* From the disk, not from the page cache that a snapshot carried along. */
ssize_t read_whole(const char *path, void *data, size_t room);

void thread_start(void *(*run)(void *), void *arg);
void sleep_ms(long ms);

/* Say why on the console, and end. */
_Noreturn void die(const char *what);

#endif
