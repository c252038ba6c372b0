/* What snapshot.c and snapshot_decode.c share. */
#pragma once

#include "quorum/snapshot.h"

#define SNAPSHOT_MAGIC "CHRONSNP"
#define SNAPSHOT_FORMAT 1
#define SNAPSHOT_HEAD_LEN 36
#define SNAPSHOT_VOTERS_LEN_MAX (64u << 10) /* far more than a handful of voters takes */
