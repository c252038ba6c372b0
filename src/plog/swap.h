/* One new segment takes the place of several old ones, so that a crash leaves the old or the new (FORMAT.md, "swap"). */
#pragma once

#include "plog/internal.h"

#define CLEAN_SUFFIX ".clean" /* behind that of a segment or an index: not yet in its place */

/* @out was written to BASE.log.clean and BASE.index.clean, both sealed and the first one synced, and to BASE.txn.clean, synced,
 * when it says that its aborted transactions are filed; it takes the place of
 * @old (in order, touching each other), whose indexes are loaded. Its content is taken over: @out is empty afterwards.
 * plog.work held. Return: 0; PLOG_E_CLOSED, PLOG_E_FAILED; PLOG_E_NOT_FOUND when the log has changed meanwhile; negative
 * errno. */
int swap_in(struct plog *pl, struct segment **old, size_t old_count, struct segment *out);
/* Finish what a crash interrupted; remove what was not begun. Before a log's folder is looked at. Blocks. */
int swap_redo(const char *dir, const char *log_name);
